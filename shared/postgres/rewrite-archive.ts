import { ArchiveReader, invalid } from './archive-reader.ts'
import {
  readCount,
  readHeader,
  readTocEntry,
  SECTION_DATA,
  SECTION_PRE_DATA,
  type ArchiveHeader,
  type TocEntry,
} from './archive-toc.ts'
import { writeGate, writeInt, writeSqlEntry } from './archive-writer.ts'
import { encodingOf } from './dump-parser.ts'
import { textDecoder } from './encoding.ts'

/** An entry of the table of contents with its texts decoded, and the bytes it was read from. */
export interface ArchiveEntry extends Omit<
  TocEntry,
  'name' | 'schema' | 'definition' | 'copy' | 'tablespace' | 'owner'
> {
  name: string
  schema: string
  definition: string
  copy: string | null
  tablespace: string | null
  owner: string | null
  bytes: Buffer
}

export interface ArchiveContents {
  header: ArchiveHeader
  encoding: string
  entries: ArchiveEntry[]
}

/** What pg_restore is given to see of an archive. */
export interface ArchivePlan {
  /** In the order of the archive. Data of entries that are not here is skipped. */
  entries: readonly ArchiveEntry[]
  /** SQL that runs before everything else, for example to make room. In the encoding of the archive only if it is ASCII. */
  before?: readonly string[]
  /** SQL that runs after the data, before indexes and foreign keys. */
  afterData?: readonly string[]
  /** SQL that runs at the end. */
  after?: readonly string[]
}

/**
 * Rewrites the table of contents of an archive as it streams, by what `plan` makes of it, and leaves its data as it is. The data ends
 * with a gate that is sent only after the source has ended well: until then pg_restore can finish nothing, whatever the plan leaves out.
 *
 * @throws DUMP_INVALID where header or table of contents don't parse; what the source or `plan` throws
 */
export async function* rewriteArchive(
  source: AsyncIterable<Buffer>,
  plan: (contents: ArchiveContents) => ArchivePlan,
): AsyncGenerator<Buffer, void, void> {
  const parser = new ContentsParser()
  let gate: Buffer | undefined
  for await (const chunk of source) {
    if (gate) {
      yield chunk
      continue
    }
    const contents = parser.push(chunk)
    if (!contents) continue
    const rewritten = writeContents(contents, parser.headerBytes, plan(contents))
    gate = rewritten.gate
    yield rewritten.contents
    yield parser.takeRest()
  }
  if (!gate) throw invalid('it ends inside its table of contents')
  yield gate
}

/**
 * Reads an archive as far as its table of contents and stops.
 *
 * @throws DUMP_INVALID where it ends before, or doesn't parse; what the source throws
 */
export async function readContents(source: AsyncIterable<Buffer>): Promise<ArchiveContents> {
  const parser = new ContentsParser()
  for await (const chunk of source) {
    const contents = parser.push(chunk)
    if (contents) return contents
  }
  throw invalid('it ends inside its table of contents')
}

class ContentsParser {
  headerBytes: Buffer = Buffer.alloc(0)
  readonly #reader = new ArchiveReader()
  readonly #read: { value: TocEntry; bytes: Buffer }[] = []
  #header: ArchiveHeader | undefined
  #count: number | undefined

  /** The contents, once all of them are there. */
  push(chunk: Buffer): ArchiveContents | undefined {
    const reader = this.#reader
    reader.append(chunk)
    if (!this.#header) {
      const read = reader.attempt(() => reader.recorded(() => readHeader(reader)))
      if (!read) return undefined
      this.#header = read.value
      this.headerBytes = read.bytes
    }
    const header = this.#header
    this.#count ??= reader.attempt(() => readCount(reader))
    if (this.#count === undefined) return undefined
    while (this.#read.length < this.#count) {
      const entry = reader.attempt(() => reader.recorded(() => readTocEntry(reader, header.minor)))
      if (!entry) return undefined
      this.#read.push(entry)
    }
    return decodeContents(header, this.#read)
  }

  takeRest(): Buffer {
    return this.#reader.takeRest()
  }
}

function decodeContents(header: ArchiveHeader, read: readonly { value: TocEntry; bytes: Buffer }[]): ArchiveContents {
  const encoding = encodingOf(read.map(({ value }) => value))
  const decode = textDecoder(encoding)
  const entries = read.map(({ value, bytes }) => ({
    ...value,
    name: decode(value.name),
    schema: value.schema ? decode(value.schema) : '',
    definition: value.definition ? decode(value.definition) : '',
    copy: value.copy ? decode(value.copy) : null,
    tablespace: value.tablespace ? decode(value.tablespace) : null,
    owner: value.owner ? decode(value.owner) : null,
    bytes,
  }))
  return { header, encoding, entries }
}

function writeContents({ header, entries: all }: ArchiveContents, headerBytes: Buffer, plan: ArchivePlan) {
  let lastId = all.reduce((highest, { dumpId }) => Math.max(highest, dumpId), 0)
  const sql = (texts: readonly string[] = []) =>
    texts.map((text) => writeSqlEntry(header, (lastId += 1), 'coffer', `${text};\n`))
  const gate = writeGate(header, (lastId += 1))
  // Sections don't overlap in an archive, but entries without one may lie anywhere.
  const isEarly = ({ section }: ArchiveEntry) => section === SECTION_PRE_DATA || section === SECTION_DATA
  const dataEnd = plan.entries.findLastIndex(isEarly) + 1
  const written = [
    ...sql(plan.before),
    ...plan.entries.slice(0, dataEnd).map(({ bytes }) => bytes),
    gate.entry,
    ...sql(plan.afterData),
    ...plan.entries.slice(dataEnd).map(({ bytes }) => bytes),
    ...sql(plan.after),
  ]
  return { contents: Buffer.concat([headerBytes, writeInt(written.length), ...written]), gate: gate.block }
}
