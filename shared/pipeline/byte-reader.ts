import { CofferError } from '../errors.ts'
import { asBuffer } from './chunks.ts'

/** Takes exact numbers of bytes from a stream whose chunks have any size. */
export class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>
  readonly #invalid: (what: string) => Error
  #parts: Buffer[] = []
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

  /** @throws ARTIFACT_CORRUPT when fewer than `count` bytes are left */
  async take(count: number): Promise<Buffer> {
    await this.#fill(count)
    return this.#remove(count)
  }

  /** Copies the next bytes to their place, which costs no buffer of their own. @returns the place after them @throws ARTIFACT_CORRUPT as `take` */
  async takeInto(target: Buffer, at: number, count: number): Promise<number> {
    await this.#fill(count)
    const end = at + count
    while (at < end) {
      const part = this.#parts.shift() ?? Buffer.alloc(0)
      const copied = part.copy(target, at, 0, end - at)
      if (copied < part.length) this.#parts.unshift(part.subarray(copied))
      at += copied
    }
    this.#buffered -= count
    this.#taken += count
    return end
  }

  /** Takes up to and including the next newline. @throws ARTIFACT_CORRUPT when there is none within `limit` bytes */
  async takeLine(limit: number): Promise<Buffer> {
    for (;;) {
      const buffered = this.#flatten()
      const end = buffered.indexOf(0x0a) + 1
      if (end > 0 && end <= limit) return this.#remove(end)
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

  /** Everything that was not taken. */
  async *rest(): AsyncGenerator<Buffer, void, void> {
    while (!(await this.isAtEnd())) yield this.#remove(this.#buffered)
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
    this.#parts.push(asBuffer(next.value))
    this.#buffered += next.value.length
    return true
  }

  #flatten(): Buffer {
    const [first] = this.#parts
    if (first !== undefined && this.#parts.length === 1) return first
    const whole = Buffer.concat(this.#parts)
    this.#parts = [whole]
    return whole
  }

  #remove(count: number): Buffer {
    const whole = this.#flatten()
    this.#parts = [whole.subarray(count)]
    this.#buffered -= count
    this.#taken += count
    return whole.subarray(0, count)
  }

  #endedEarly(count: number): Error {
    const has = this.#taken + this.#buffered
    return this.#invalid(`the data ends after ${has} bytes, where ${count} more are announced`)
  }
}
