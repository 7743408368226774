import { invalid } from './archive-reader.ts'
import type { TocEntry } from './archive-toc.ts'

const BLOCK_DATA = 1
const BLOCK_LARGE_OBJECTS = 3
const INT_BYTES = 5
const NEWLINE = 10
/** `\.` and two empty lines, by which pg_dump ends the COPY text of a table; as one big-endian number of five bytes. */
const END_OF_COPY = 0x5c2e0a0a0a
const LINES_OF_END = 3

type Expectation = 'block' | 'large-object' | 'length' | 'bytes'

/**
 * Walks through the data blocks of an archive: for each entry with data a type byte and the entry's id, then pieces of bytes with
 * their length, ended by length 0; large objects each have their object id before and object id 0 after the last.
 * Holds no more than the beginning of an integer.
 */
export class DataBlocks {
  /** Exact rows by the id of their entry: line ends, since COPY escapes those within values. */
  readonly rows = new Map<number, number>()
  largeObjects = 0

  readonly #entries: ReadonlyMap<number, TocEntry>
  readonly #missing: Set<number>
  #expects: Expectation = 'block'
  #entry: TocEntry | undefined
  #isTable = false
  #held = Buffer.alloc(0)
  #remaining = 0
  #lines = 0
  /** The last five bytes of the entry's data: up to here in the chunk at hand, or if that is -1, as a number. */
  #tailEnd = -1
  #tail = 0

  constructor(entries: readonly TocEntry[]) {
    this.#entries = new Map(entries.map((entry) => [entry.dumpId, entry]))
    this.#missing = new Set(entries.filter(({ hasData }) => hasData).map(({ dumpId }) => dumpId))
  }

  push(chunk: Buffer): void {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    let at = 0
    for (;;) {
      if (this.#expects === 'length' && this.#isTable) at = this.#countWholePieces(bytes, at)
      if (this.#expects === 'bytes') {
        const end = Math.min(at + this.#remaining, bytes.length)
        if (this.#isTable) this.#countLines(bytes, at, end)
        this.#remaining -= end - at
        at = end
        if (this.#remaining > 0) break
        this.#expects = 'length'
      }
      const needed = this.#expects === 'block' ? INT_BYTES + 1 : INT_BYTES
      if (at + needed > bytes.length) break
      if (this.#expects === 'block') this.#beginBlock(bytes.readUInt8(at), readInt(bytes, at + 1))
      else if (this.#expects === 'length') this.#beginPiece(readInt(bytes, at), bytes)
      else this.#beginLargeObject(readInt(bytes, at))
      at += needed
    }
    this.#readTail(bytes)
    this.#held = Buffer.from(bytes.subarray(at))
  }

  /** @throws DUMP_INVALID unless the last block was whole and every entry with data had its block */
  end(): void {
    if (this.#expects !== 'block' || this.#held.length > 0) {
      throw invalid(`it ends inside the data of ${this.#entry ? nameOf(this.#entry) : 'a block'}`)
    }
    const [first] = this.#missing
    const entry = first === undefined ? undefined : this.#entries.get(first)
    if (entry) throw invalid(`it ends before the data of ${nameOf(entry)} (${this.#missing.size} blocks are missing)`)
  }

  #beginBlock(type: number, dumpId: number): void {
    const entry = this.#entries.get(dumpId)
    if (!entry || !this.#missing.delete(dumpId)) throw invalid(`a data block has id ${dumpId}, which is not due`)
    const expected = entry.kind === 'BLOBS' ? BLOCK_LARGE_OBJECTS : BLOCK_DATA
    if (type !== expected) throw invalid(`the data block of ${nameOf(entry)} has type ${type}`)
    if (entry.kind === 'TABLE DATA' && !entry.copy) {
      throw invalid(`the rows of ${nameOf(entry)} are INSERT statements, which cannot be counted (pg_dump --inserts)`)
    }
    this.#entry = entry
    this.#isTable = entry.kind === 'TABLE DATA'
    this.#lines = 0
    this.#tailEnd = -1
    this.#tail = 0
    this.#expects = type === BLOCK_LARGE_OBJECTS ? 'large-object' : 'length'
  }

  #beginLargeObject(id: number): void {
    if (id === 0) {
      this.#expects = 'block'
      return
    }
    this.largeObjects += 1
    this.#expects = 'length'
  }

  #beginPiece(length: number, bytes: Buffer): void {
    if (length < 0) throw invalid(`a piece of data has length ${length}`)
    this.#remaining = length
    if (length > 0) this.#expects = 'bytes'
    else this.#endData(bytes)
  }

  #endData(bytes: Buffer): void {
    const entry = this.#entry
    if (entry && this.#isTable) {
      this.#readTail(bytes)
      if (this.#tail !== END_OF_COPY) throw invalid(`the rows of ${nameOf(entry)} lack their end`)
      this.rows.set(entry.dumpId, this.#lines - LINES_OF_END)
    }
    this.#expects = entry?.kind === 'BLOBS' ? 'large-object' : 'block'
  }

  /** The short way for pieces that lie whole in the chunk; pg_dump makes one of every row. Stops before anything else. */
  #countWholePieces(bytes: Buffer, start: number): number {
    let at = start
    let rows = 0
    while (at + INT_BYTES < bytes.length && bytes[at] === 0) {
      const from = at + INT_BYTES
      const end = from + bytes.readInt32LE(at + 1)
      if (end < from + INT_BYTES || end > bytes.length) break
      if (bytes.indexOf(NEWLINE, from) === end - 1) rows += 1
      else this.#countLines(bytes, from, end)
      at = end
    }
    if (at > start) this.#tailEnd = at
    this.#lines += rows
    return at
  }

  // indexOf for each row is an order of magnitude cheaper than a look at each byte.
  #countLines(bytes: Buffer, start: number, end: number): void {
    let at = start
    while (at < end) {
      const found = bytes.indexOf(NEWLINE, at)
      if (found < 0 || found >= end) break
      this.#lines += 1
      at = found + 1
    }
    if (end - start >= INT_BYTES) {
      this.#tailEnd = end
      return
    }
    this.#readTail(bytes)
    this.#appendToTail(bytes, start, end)
  }

  /** Turns the place of the last bytes into their value, since the chunk goes away or they move. */
  #readTail(bytes: Buffer): void {
    if (this.#tailEnd < 0) return
    this.#appendToTail(bytes, this.#tailEnd - INT_BYTES, this.#tailEnd)
    this.#tailEnd = -1
  }

  #appendToTail(bytes: Buffer, start: number, end: number): void {
    for (let at = start; at < end; at++) this.#tail = (this.#tail % 2 ** 32) * 256 + bytes.readUInt8(at)
  }
}

function readInt(bytes: Buffer, at: number): number {
  const sign = bytes.readUInt8(at)
  if (sign > 1) throw invalid(`an integer in its data has ${sign} for its sign`)
  const magnitude = bytes.readUInt32LE(at + 1)
  return sign === 1 ? -magnitude : magnitude
}

function nameOf({ kind, name, schema }: TocEntry): string {
  return `${kind} ${schema ? `${schema.toString('utf8')}.` : ''}${name.toString('utf8')}`
}
