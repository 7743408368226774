import { CofferError } from '../errors.ts'
import { release } from '../release.ts'
import { asBuffer } from './chunks.ts'

/** Takes exact numbers of bytes from a stream whose chunks have any size. The chunks are taken over: what was copied out of is released. */
export class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>
  readonly #invalid: (what: string) => Error
  #chunks: Buffer[] = []
  /** Bytes of the first chunk that were taken already. */
  #at = 0
  #buffered = 0
  #taken = 0

  /** @param invalid makes the error for bytes that are missing; ARTIFACT_CORRUPT unless they are of something else */
  constructor(
    source: AsyncIterable<Uint8Array>,
    invalid = (what: string) => new CofferError('ARTIFACT_CORRUPT', what),
  ) {
    this.#source = source[Symbol.asyncIterator]()
    this.#invalid = invalid
  }

  /** A copy of the next bytes. @throws ARTIFACT_CORRUPT when fewer than `count` bytes are left */
  async take(count: number): Promise<Buffer> {
    await this.#fill(count)
    const taken = Buffer.allocUnsafe(count)
    this.#copy(taken, 0, count)
    return taken
  }

  /** Copies the next bytes to their place, which costs no buffer of their own. @returns the place after them @throws ARTIFACT_CORRUPT as `take` */
  async takeInto(target: Buffer, at: number, count: number): Promise<number> {
    await this.#fill(count)
    return this.#copy(target, at, count)
  }

  /** Takes up to and including the next newline. @throws ARTIFACT_CORRUPT when there is none within `limit` bytes */
  async takeLine(limit: number): Promise<Buffer> {
    for (;;) {
      const buffered = this.#joined()
      const end = buffered.indexOf(0x0a) + 1
      if (end > 0 && end <= limit) return this.take(end)
      if (buffered.length >= limit) throw this.#invalid(`no line end within ${limit} bytes`)
      if (!(await this.#pull())) throw this.#endedEarly(1)
    }
  }

  async isAtEnd(): Promise<boolean> {
    while (this.#buffered === 0) {
      if (!(await this.#pull())) return true
    }
    return false
  }

  /** Everything that was not taken; the chunks are handed over. */
  async *rest(): AsyncGenerator<Buffer, void, void> {
    while (!(await this.isAtEnd())) {
      const rest = this.#joined()
      this.#chunks = []
      this.#at = 0
      this.#count(rest.length)
      yield rest
    }
  }

  /** Ends the source where it is. */
  async close(): Promise<void> {
    await this.#source.return?.()
  }

  async #fill(count: number): Promise<void> {
    while (this.#buffered < count) {
      if (!(await this.#pull())) throw this.#endedEarly(count)
    }
  }

  async #pull(): Promise<boolean> {
    const next = await this.#source.next()
    if (next.done) return false
    if (next.value.length > 0) this.#chunks.push(asBuffer(next.value))
    this.#buffered += next.value.length
    return true
  }

  #copy(target: Buffer, start: number, count: number): number {
    const end = start + count
    let at = start
    for (let first = this.#chunks[0]; first && at < end; first = this.#chunks[0]) {
      const copied = first.copy(target, at, this.#at, this.#at + end - at)
      at += copied
      this.#at += copied
      if (this.#at < first.length) break
      this.#chunks.shift()
      this.#at = 0
      release(first)
    }
    this.#count(count)
    return end
  }

  #joined(): Buffer {
    const [first, ...others] = this.#chunks
    if (!first) return Buffer.alloc(0)
    const untaken = first.subarray(this.#at)
    if (others.length === 0) return untaken
    const whole = Buffer.concat([untaken, ...others])
    this.#chunks = [whole]
    this.#at = 0
    return whole
  }

  #count(taken: number): void {
    this.#buffered -= taken
    this.#taken += taken
  }

  #endedEarly(count: number): Error {
    const has = this.#taken + this.#buffered
    return this.#invalid(`the data ends after ${has} bytes, where ${count} more are announced`)
  }
}
