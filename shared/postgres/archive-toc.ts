import { invalid, type ArchiveReader } from './archive-reader.ts'

export interface ArchiveHeader {
  /** Of the format, for example 14 of 1.14. */
  minor: number
  createdAt: Date
  database: string
  serverVersion: string
  clientVersion: string
}

export interface TocEntry {
  dumpId: number
  /** Whether a data block belongs to it. */
  hasData: boolean
  /** Kind of the object, for example TABLE or TABLE DATA. */
  kind: string
  /** In the encoding of the archive, unquoted. */
  name: Buffer
  schema: Buffer | null
  definition: Buffer | null
  /** The COPY statement that the data block belongs to; null where it is INSERT statements, or there is none. */
  copy: Buffer | null
  section: number
  /** null: that of the database. */
  tablespace: Buffer | null
  owner: Buffer | null
  /** Ids of the entries that must be there before this one. */
  dependencies: number[]
}

const MAGIC = 'PGDMP'
const CUSTOM_FORMAT = 1
const OLDEST_MINOR = 12
const NEWEST_MINOR = 16
const SECTIONS = 4

export const SECTION_PRE_DATA = 2
export const SECTION_DATA = 3
export const SECTION_POST_DATA = 4

/** Offsets of an unseekable output are not set; entries without data say so. */
export const OFFSET_FLAGS = { notSet: 1, set: 2, noData: 3 }

/** Reads the header (formats 1.12 to 1.16, uncompressed data) and sets the sizes of integers in the reader. */
export function readHeader(reader: ArchiveReader): ArchiveHeader {
  if (reader.bytes(MAGIC.length).toString('latin1') !== MAGIC) throw invalid(`it does not begin with ${MAGIC}`)
  const [major, minor] = [reader.byte(), reader.byte()]
  reader.byte()
  if (major !== 1 || minor < OLDEST_MINOR || minor > NEWEST_MINOR) {
    throw invalid(`format ${major}.${minor} is not one of 1.${OLDEST_MINOR} to 1.${NEWEST_MINOR}`)
  }
  reader.intSize = readSize(reader, 4)
  reader.offsetSize = readSize(reader, 8)
  if (reader.byte() !== CUSTOM_FORMAT) throw invalid('it is not in the custom format (pg_dump -Fc)')
  const compression = minor >= 15 ? reader.byte() : reader.int()
  if (compression !== 0) throw invalid('its data is compressed inside (pg_dump without -Z0)')
  return {
    minor,
    createdAt: readTime(reader),
    database: reader.text()?.toString('utf8') ?? '',
    serverVersion: reader.text()?.toString('latin1') ?? '',
    clientVersion: reader.text()?.toString('latin1') ?? '',
  }
}

/** Reads how many entries the table of contents has. */
export function readCount(reader: ArchiveReader): number {
  const count = reader.int()
  if (count < 0) throw invalid(`its table of contents has ${count} entries`)
  return count
}

/** Reads one entry of the table of contents. */
export function readTocEntry(reader: ArchiveReader, minor: number): TocEntry {
  const dumpId = reader.int()
  if (dumpId < 1) throw invalid(`an entry has id ${dumpId}`)
  const dumper = reader.int()
  if (dumper !== 0 && dumper !== 1) throw invalid(`entry ${dumpId} says ${dumper} for whether it has data`)
  const where = `entry ${dumpId}`
  readNumber(reader, `the catalog of ${where}`)
  readNumber(reader, `the object id of ${where}`)
  const name = reader.text()
  const kind = reader.text()?.toString('latin1')
  if (name === null || !kind || !/^[A-Z _]+$/.test(kind)) throw invalid(`${where} has no name or kind`)
  const section = reader.int()
  if (section < 1 || section > SECTIONS) throw invalid(`${where} lies in section ${section}`)
  const definition = reader.text()
  reader.skipText()
  const copy = reader.text()
  const schema = reader.text()
  const tablespace = reader.text()
  if (minor >= 14) reader.skipText()
  if (minor >= 16) reader.int()
  const owner = reader.text()
  const withOids = reader.text()?.toString('latin1')
  if (withOids !== 'false' && withOids !== 'true') throw invalid(`${where} has ${withOids ?? 'nothing'} for its OIDs`)
  const dependencies = readDependencies(reader, where)
  readOffset(reader, dumper === 1, where)
  return {
    dumpId,
    hasData: dumper === 1,
    kind,
    name,
    schema,
    definition,
    copy: copy?.length ? copy : null,
    section,
    tablespace: tablespace?.length ? tablespace : null,
    owner: owner?.length ? owner : null,
    dependencies,
  }
}

function readDependencies(reader: ArchiveReader, where: string): number[] {
  const dependencies: number[] = []
  for (let text = reader.text(); text !== null; text = reader.text()) {
    const id = text.toString('latin1')
    if (!/^\d+$/.test(id)) throw invalid(`${where} depends on what is not a number`)
    dependencies.push(Number(id))
  }
  return dependencies
}

function readOffset(reader: ArchiveReader, hasData: boolean, where: string): void {
  const flag = reader.byte()
  const isRight = hasData ? flag === OFFSET_FLAGS.notSet || flag === OFFSET_FLAGS.set : flag === OFFSET_FLAGS.noData
  if (!isRight) throw invalid(`${where} has ${flag} for the state of its data`)
  reader.bytes(reader.offsetSize)
}

function readNumber(reader: ArchiveReader, what: string): void {
  const text = reader.text()?.toString('latin1') ?? ''
  if (!/^\d+$/.test(text)) throw invalid(`${what} is not a number`)
}

function readSize(reader: ArchiveReader, expected: number): number {
  const size = reader.byte()
  if (size !== expected) throw invalid(`it was made on a machine whose integers have ${size} bytes, not ${expected}`)
  return size
}

/** Seven integers in the zone of pg_dump's process, which for Coffer's own dumps is UTC. */
function readTime(reader: ArchiveReader): Date {
  const [second, minute, hour, day, month, year] = Array.from({ length: 7 }, () => reader.int())
  const time = new Date(Date.UTC((year ?? 0) + 1900, month, day, hour, minute, second))
  if (Number.isNaN(time.getTime()) || time.getUTCMonth() !== month) throw invalid('its creation time is not a time')
  return time
}
