import { ArchiveReader, invalid } from './archive-reader.ts'
import { DataBlocks } from './archive-data.ts'
import { readCount, readHeader, readTocEntry, type ArchiveHeader, type TocEntry } from './archive-toc.ts'
import { textDecoder } from './encoding.ts'

export interface ParsedDump {
  header: ArchiveHeader
  tocEntries: number
  /** Of the database and so of the archive, as PostgreSQL calls it. */
  encoding: string
  /** Tables with their own data, and exact rows. Those that belong to an extension are left out: it fills part of them itself. */
  tables: { schema: string; name: string; rows: number }[]
  /** Sequences whose position is set. */
  sequences: { schema: string; name: string }[]
  largeObjects: number
  /** Of the extensions that the archive creates; it does not say which version the server had. */
  extensions: { name: string; schema: string }[]
}

/**
 * Parses an archive of `pg_dump -Fc -Z0` as it streams by, in any split, and keeps its table of contents only. What it accepts to
 * the end has every block that its table of contents promises, each whole; damage inside the values of rows is not seen here.
 *
 * @throws DUMP_INVALID from `push` and `end`
 */
export class DumpParser {
  readonly #reader = new ArchiveReader()
  readonly #entries: TocEntry[] = []
  #header: ArchiveHeader | undefined
  #count: number | undefined
  #data: DataBlocks | undefined

  push(chunk: Buffer): void {
    if (this.#data) {
      this.#data.push(chunk)
      return
    }
    this.#reader.append(chunk)
    if (!this.#readContents()) return
    this.#data = new DataBlocks(this.#entries)
    this.#data.push(this.#reader.takeRest())
  }

  end(): ParsedDump {
    if (!this.#header) throw invalid('it ends inside its header')
    if (!this.#data) throw invalid(`it ends inside its table of contents, after ${this.#entries.length} entries`)
    this.#data.end()
    return describe(this.#header, this.#entries, this.#data)
  }

  /** Reads on in header and table of contents; true once they are complete. */
  #readContents(): boolean {
    const reader = this.#reader
    this.#header ??= reader.attempt(() => readHeader(reader))
    const header = this.#header
    if (!header) return false
    this.#count ??= reader.attempt(() => readCount(reader))
    if (this.#count === undefined) return false
    while (this.#entries.length < this.#count) {
      const entry = reader.attempt(() => readTocEntry(reader, header.minor))
      if (!entry) return false
      // Definitions may be many megabytes, and only that of the encoding is asked for.
      const rest = { definition: null, tablespace: null, owner: null, dependencies: [] }
      this.#entries.push(isDescribed(entry) ? entry : { ...entry, ...rest })
    }
    return true
  }
}

function describe(header: ArchiveHeader, entries: readonly TocEntry[], data: DataBlocks): ParsedDump {
  const encoding = encodingOf(entries)
  const decode = textDecoder(encoding)
  const named = ({ schema, name }: TocEntry) => ({ schema: schema ? decode(schema) : '', name: decode(name) })
  const key = (entry: TocEntry) => JSON.stringify(named(entry))
  const ownTables = new Set(entries.filter(({ kind }) => kind === 'TABLE').map(key))
  return {
    header,
    tocEntries: entries.length,
    encoding,
    tables: entries
      .filter((entry) => entry.kind === 'TABLE DATA' && ownTables.has(key(entry)))
      .map((entry) => ({ ...named(entry), rows: data.rows.get(entry.dumpId) ?? 0 })),
    sequences: entries.filter(({ kind }) => kind === 'SEQUENCE SET').map(named),
    largeObjects: data.largeObjects,
    extensions: entries.filter(({ kind }) => kind === 'EXTENSION').map((entry) => extensionOf(entry, decode)),
  }
}

/** The others' definitions are not kept: of thousands of tables they would be all that is in memory. */
const isDescribed = ({ kind }: TocEntry) => kind === 'ENCODING' || kind === 'EXTENSION'

/** `CREATE EXTENSION IF NOT EXISTS postgis WITH SCHEMA public;` */
function extensionOf({ name, definition }: TocEntry, decode: (bytes: Buffer) => string): ParsedDump['extensions'][0] {
  const [, quoted, plain] =
    / WITH SCHEMA (?:"((?:[^"]|"")+)"|([^";]+));/.exec(decode(definition ?? Buffer.alloc(0))) ?? []
  return { name: decode(name), schema: quoted?.replaceAll('""', '"') ?? plain ?? '' }
}

export function encodingOf(entries: readonly TocEntry[]): string {
  const definition = entries.find(({ kind }) => kind === 'ENCODING')?.definition?.toString('latin1') ?? ''
  const encoding = /^SET client_encoding = '([A-Za-z0-9_]+)'/.exec(definition)?.[1]
  if (encoding === undefined) throw invalid('its table of contents names no encoding')
  return encoding
}
