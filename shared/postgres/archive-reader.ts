import { CofferError } from '../errors.ts'

/** Thrown where the bytes at hand end before the value does; read again from the last mark when more have come. */
export const INCOMPLETE = Symbol('incomplete')

/** Names, definitions and counts of an archive are far below this; a length above it is a damaged one. */
const LONGEST_TEXT = 64 * 1024 * 1024

/** Reads the values of the custom format's header and table of contents from bytes that are still arriving. */
export class ArchiveReader {
  #bytes: Buffer = Buffer.alloc(0)
  #at = 0
  /** Set from the header: bytes of an integer without its sign, and of a file offset. */
  intSize = 4
  offsetSize = 8

  /** Copies the chunk, which its owner may release. */
  append(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes.subarray(this.#at), chunk])
    this.#at = 0
  }

  /** What `read` makes of the next bytes; undefined, and nothing consumed, where they don't suffice yet. */
  attempt<T>(read: () => T): T | undefined {
    const start = this.#at
    try {
      return read()
    } catch (error) {
      this.#at = start
      if (error === INCOMPLETE) return undefined
      throw error
    }
  }

  /** What `read` makes of the next bytes, with a copy of these bytes. */
  recorded<T>(read: () => T): { value: T; bytes: Buffer } {
    const start = this.#at
    const value = read()
    return { value, bytes: Buffer.from(this.#bytes.subarray(start, this.#at)) }
  }

  /** Hands over all that was not read. */
  takeRest(): Buffer {
    const rest = this.#bytes.subarray(this.#at)
    this.#bytes = Buffer.alloc(0)
    this.#at = 0
    return rest
  }

  bytes(count: number): Buffer {
    const end = this.#at + count
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- control flow, not an error
    if (end > this.#bytes.length) throw INCOMPLETE
    const taken = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return taken
  }

  byte(): number {
    return this.bytes(1).readUInt8()
  }

  /** A sign byte, then the magnitude, least byte first. */
  int(): number {
    const sign = this.byte()
    const magnitude = this.bytes(this.intSize).readUIntLE(0, this.intSize)
    if (sign > 1) throw invalid(`an integer has ${sign} for its sign`)
    return sign === 1 ? -magnitude : magnitude
  }

  /** A copy, so that what is kept of a table of contents does not keep the stream's chunks; null for a text that is not there. */
  text(): Buffer | null {
    const length = this.int()
    if (length === -1) return null
    if (length < 0 || length > LONGEST_TEXT) throw invalid(`a text has length ${length}`)
    return Buffer.from(this.bytes(length))
  }

  skipText(): void {
    const length = this.int()
    if (length < -1 || length > LONGEST_TEXT) throw invalid(`a text has length ${length}`)
    this.bytes(Math.max(length, 0))
  }
}

export function invalid(what: string): CofferError {
  return new CofferError('DUMP_INVALID', `the dump does not parse as an archive of pg_dump: ${what}`)
}
