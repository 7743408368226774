import { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { CofferError } from '../../shared/errors.ts'
import { asBuffer } from '../../shared/pipeline/chunks.ts'

const GZIP = Buffer.from([0x1f, 0x8b])
const CHUNK_BYTES = 256 * 1024

/** The bytes, gunzipped where they are gzip. @throws `code` for damaged gzip, and beyond `maxBytes` of output */
export async function* unpacked(
  source: AsyncGenerator<Buffer, void, void>,
  code: 'DUMP_INVALID' | 'ARCHIVE_INVALID',
  maxBytes: number,
): AsyncGenerator<Buffer, void, void> {
  const { first, all } = await peek(source, GZIP.length)
  let bytes = 0
  for await (const chunk of first.equals(GZIP) ? gunzipped(all, code) : all) {
    bytes += chunk.length
    if (bytes > maxBytes)
      throw new CofferError(code, `it unpacks to more than the ${maxBytes} bytes that an upload may have`)
    yield chunk
  }
}

/** The first bytes, fewer where there are no more, and all of them again. */
export async function peek(
  source: AsyncGenerator<Buffer, void, void>,
  count: number,
): Promise<{ first: Buffer; all: AsyncGenerator<Buffer, void, void> }> {
  let begin: Buffer = Buffer.alloc(0)
  while (begin.length < count) {
    const { done, value } = await source.next()
    if (done) break
    begin = Buffer.concat([begin, value])
  }
  return { first: begin.subarray(0, count), all: rejoined(begin, source) }
}

async function* rejoined(begin: Buffer, rest: AsyncGenerator<Buffer, void, void>): AsyncGenerator<Buffer, void, void> {
  try {
    if (begin.length > 0) yield begin
    yield* rest
  } finally {
    await rest.return()
  }
}

async function* gunzipped(
  source: AsyncIterable<Buffer>,
  code: 'DUMP_INVALID' | 'ARCHIVE_INVALID',
): AsyncGenerator<Buffer, void, void> {
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES })
  const packed = Readable.from(source, { objectMode: false })
  packed.on('error', (error) => gunzip.destroy(error)).pipe(gunzip)
  try {
    for await (const chunk of gunzip) yield asBuffer(chunk as Uint8Array)
  } catch (cause) {
    if (cause instanceof CofferError) throw cause
    throw new CofferError(code, `its gzip data is damaged: ${(cause as Error).message}`, { cause })
  } finally {
    packed.destroy()
    gunzip.destroy()
  }
}
