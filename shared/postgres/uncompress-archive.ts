import { createInflate, createZstdDecompress } from 'node:zlib'
import { Readable } from 'node:stream'
import { ByteReader } from '../pipeline/byte-reader.ts'
import { CofferError } from '../errors.ts'
import { watched } from '../pipeline/digest.ts'
import { ArchiveReader, invalid } from './archive-reader.ts'
import { readHeader, readTocEntry, type TocEntry } from './archive-toc.ts'

/** Magic, version, sizes of integers and format: up to here all formats are alike, then comes how the data is compressed. */
const COMPRESSION_AT = 11
const FIRST_MINOR_WITH_ALGORITHM = 15
const OFFSET_BYTES = 8
const OFFSET_NOT_SET = 1
const INT_BYTES = 5
const BLOCK_LARGE_OBJECTS = 3
/** pg_dump compresses into pieces of 4 KiB; each would cost a round trip to the thread pool. */
const GATHERED_BYTES = 256 * 1024
const LONGEST_PIECE = 16 * 1024 * 1024
/** Far beyond any that was seen; it is kept in memory. */
const LARGEST_CONTENTS = 64 * 1024 * 1024

const ALGORITHMS = ['none', 'gzip', 'lz4', 'zstd'] as const
type Algorithm = (typeof ALGORITHMS)[number]

/**
 * Rewrites an archive of `pg_dump -Fc` to what it would be with `-Z0` and an output that can't seek, in constant memory but for its
 * table of contents. Its data must be parsed to be believed: see DumpParser.
 * @throws DUMP_INVALID, also for lz4, which nothing here can read
 */
export async function* uncompressArchive(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer, void, void> {
  const reader = new ByteReader(source, invalid)
  try {
    const { algorithm, start } = await readStart(reader)
    const { pieces, entries, rest } = await readContents(start, reader)
    yield* pieces
    if (algorithm === 'none') yield* rest
    else yield* inflateBlocks(new ByteReader(rest, invalid), entries, algorithm)
  } finally {
    await reader.close()
  }
}

async function readStart(reader: ByteReader): Promise<{ algorithm: Exclude<Algorithm, 'lz4'>; start: Buffer }> {
  const start = Buffer.from(await reader.take(COMPRESSION_AT + INT_BYTES))
  const minor = start.readUInt8(6)
  if (start.toString('latin1', 0, 5) !== 'PGDMP') throw invalid('it does not begin with PGDMP')
  const algorithm = minor >= FIRST_MINOR_WITH_ALGORITHM ? ALGORITHMS[start.readUInt8(COMPRESSION_AT)] : byLevel(start)
  if (algorithm === undefined) throw invalid(`its data is compressed in the unknown way ${start[COMPRESSION_AT] ?? ''}`)
  if (algorithm === 'lz4')
    throw new CofferError('DUMP_INVALID', 'the data of the dump is compressed with lz4, which Coffer does not read', {
      remedy: 'make the dump with pg_dump --format=custom --compress=none, or with gzip or zstd',
    })
  const width = minor >= FIRST_MINOR_WITH_ALGORITHM ? 1 : INT_BYTES
  start.fill(0, COMPRESSION_AT, COMPRESSION_AT + width)
  return { algorithm, start }
}

/** Before format 1.15 a level: 0 none, -1 zlib's usual one. */
const byLevel = (start: Buffer): Algorithm => (start.readUInt32LE(COMPRESSION_AT + 1) === 0 ? 'none' : 'gzip')

interface Contents {
  /** Header and table of contents, rewritten. */
  pieces: Buffer[]
  entries: ReadonlyMap<number, TocEntry>
  rest: AsyncIterable<Buffer>
}

async function readContents(start: Buffer, source: ByteReader): Promise<Contents> {
  const reader = new ArchiveReader()
  const more = source.rest()
  let size = 0
  const append = (chunk: Buffer) => {
    size += chunk.length
    if (size > LARGEST_CONTENTS) throw invalid(`its table of contents is larger than ${LARGEST_CONTENTS} bytes`)
    reader.append(chunk)
  }
  const next = async <T>(read: () => T): Promise<{ value: T; bytes: Buffer }> => {
    for (;;) {
      const found = reader.attempt(() => reader.recorded(read))
      if (found) return found
      const { done, value } = await more.next()
      if (done) throw invalid('it ends inside its table of contents')
      append(value)
    }
  }
  append(start)
  const header = await next(() => readHeader(reader))
  const count = await next(() => reader.int())
  const pieces = [header.bytes, count.bytes]
  const entries = new Map<number, TocEntry>()
  for (let left = count.value; left > 0; left--) {
    const { value: entry, bytes } = await next(() => readTocEntry(reader, header.value.minor))
    pieces.push(entry.hasData ? withoutOffset(bytes) : bytes)
    if (entry.hasData) entries.set(entry.dumpId, entry)
  }
  return { pieces, entries, rest: rejoined(reader.takeRest(), more) }
}

/** An entry ends with where its data begins, which is elsewhere now. */
function withoutOffset(entry: Buffer): Buffer {
  const changed = Buffer.from(entry)
  changed.fill(0, entry.length - OFFSET_BYTES)
  changed.writeUInt8(OFFSET_NOT_SET, entry.length - OFFSET_BYTES - 1)
  return changed
}

async function* rejoined(first: Buffer, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
  if (first.length > 0) yield first
  yield* rest
}

async function* inflateBlocks(
  reader: ByteReader,
  entries: ReadonlyMap<number, TocEntry>,
  algorithm: 'gzip' | 'zstd',
): AsyncGenerator<Buffer, void, void> {
  while (!(await reader.isAtEnd())) {
    const begin = Buffer.from(await reader.take(1 + INT_BYTES))
    if (!entries.has(readInt(begin, 1))) throw invalid(`a data block has id ${readInt(begin, 1)}, which is not due`)
    yield begin
    if (begin[0] === BLOCK_LARGE_OBJECTS) yield* inflateLargeObjects(reader, algorithm)
    else yield* inflateData(reader, algorithm)
  }
}

async function* inflateLargeObjects(
  reader: ByteReader,
  algorithm: 'gzip' | 'zstd',
): AsyncGenerator<Buffer, void, void> {
  for (;;) {
    const id = Buffer.from(await reader.take(INT_BYTES))
    yield id
    if (readInt(id, 0) === 0) return
    yield* inflateData(reader, algorithm)
  }
}

/** One compressed stream, cut into pieces with their length, becomes the plain bytes, cut into pieces with theirs. */
async function* inflateData(reader: ByteReader, algorithm: 'gzip' | 'zstd'): AsyncGenerator<Buffer, void, void> {
  const inflate =
    algorithm === 'gzip'
      ? createInflate({ chunkSize: GATHERED_BYTES })
      : createZstdDecompress({ chunkSize: GATHERED_BYTES })
  let fed = 0
  const compressed = Readable.from(
    watched(takePieces(reader), (piece) => {
      fed += piece.length
    }),
    { objectMode: false },
  )
  compressed.on('error', (error) => inflate.destroy(error)).pipe(inflate)
  try {
    for await (const chunk of inflate as AsyncIterable<Buffer>) yield Buffer.concat([writeInt(chunk.length), chunk])
  } catch (cause) {
    if (cause instanceof CofferError) throw cause
    throw invalid(`its compressed data is damaged: ${(cause as Error).message}`)
  } finally {
    compressed.destroy()
    inflate.destroy()
  }
  // What follows the end of a compressed stream is passed over in silence.
  if (!compressed.readableEnded || inflate.bytesWritten !== fed)
    throw invalid('its compressed data go on after their end')
  yield writeInt(0)
}

/** The pieces up to the one of length 0, gathered. */
async function* takePieces(reader: ByteReader): AsyncGenerator<Buffer, void, void> {
  let gathered: Buffer[] = []
  let size = 0
  for (;;) {
    const length = readInt(await reader.take(INT_BYTES), 0)
    if (length < 0 || length > LONGEST_PIECE) throw invalid(`a piece of data has length ${length}`)
    if (length === 0 || size + length > GATHERED_BYTES) {
      if (size > 0) yield Buffer.concat(gathered)
      gathered = []
      size = 0
    }
    if (length === 0) return
    gathered.push(await reader.take(length))
    size += length
  }
}

function readInt(bytes: Buffer, at: number): number {
  const sign = bytes.readUInt8(at)
  if (sign > 1) throw invalid(`an integer in its data has ${sign} for its sign`)
  return (sign === 1 ? -1 : 1) * bytes.readUInt32LE(at + 1)
}

function writeInt(value: number): Buffer {
  const bytes = Buffer.alloc(INT_BYTES)
  bytes.writeUInt32LE(value, 1)
  return bytes
}
