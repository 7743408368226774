import { S3Error } from './s3-error.ts'

const CRLF = '\r\n'

/**
 * Decodes aws-chunked: `<size in hex>[;extension]CRLF<bytes>CRLF … 0CRLF[name:valueCRLF…]CRLF`. The trailer's fields are added to
 * `trailer` before it ends.
 */
export async function* decodeAwsChunked(
  source: AsyncIterable<Buffer>,
  trailer: Record<string, string>,
): AsyncGenerator<Buffer> {
  const input = new LineReader(source)
  for (;;) {
    const size = /^([0-9a-f]+)(;.*)?$/i.exec(await input.line())?.[1]
    if (size === undefined) throw new S3Error('InvalidChunkSizeError', 'a chunk has no size')
    if (Number.parseInt(size, 16) === 0) break
    yield* input.bytes(Number.parseInt(size, 16))
    if ((await input.line()) !== '') throw new S3Error('InvalidChunkSizeError', 'a chunk is longer than its size')
  }
  for (let line = await input.line(); line !== ''; line = await input.line()) {
    const [name = '', value = ''] = line.split(/:(.*)/)
    trailer[name.toLowerCase()] = value.trim()
  }
}

class LineReader {
  readonly #iterator: AsyncIterator<Buffer>
  #held: Buffer = Buffer.alloc(0)

  constructor(source: AsyncIterable<Buffer>) {
    this.#iterator = source[Symbol.asyncIterator]()
  }

  async line(): Promise<string> {
    let end = this.#held.indexOf(CRLF)
    while (end < 0) {
      await this.#more()
      end = this.#held.indexOf(CRLF)
    }
    const line = this.#held.toString('latin1', 0, end)
    this.#held = this.#held.subarray(end + CRLF.length)
    return line
  }

  async *bytes(count: number): AsyncGenerator<Buffer> {
    for (let left = count; left > 0;) {
      if (this.#held.length === 0) await this.#more()
      const piece = this.#held.subarray(0, left)
      this.#held = this.#held.subarray(piece.length)
      left -= piece.length
      yield piece
    }
  }

  async #more(): Promise<void> {
    const next = await this.#iterator.next()
    if (next.done) throw new S3Error('IncompleteBody', 'the body ended within a chunk')
    this.#held = Buffer.concat([this.#held, next.value])
  }
}
