import type { ArchiveContents, ArchiveEntry } from './rewrite-archive.ts'
import type { DumpedTable } from './selected-tables.ts'

export interface SequenceName {
  schema: string
  name: string
}

const NAME = String.raw`(?:[a-z_][a-z0-9_]*|"(?:[^"]|"")+")`
/** Nothing but what pg_dump writes: a hostile archive may carry any statement in its place. */
const PLAIN_COPY = new RegExp(
  String.raw`^COPY ${NAME}\.${NAME} (?:\((?<columns>${NAME}(?:, ${NAME})*)\))? ?FROM stdin;\n$`,
)
const QUALIFIED = new RegExp(String.raw`^(?<schema>${NAME})\.(?<name>${NAME})$`)
const PLAIN_SETVAL = /^SELECT pg_catalog\.setval\('(?<sequence>(?:[^'\\]|'')+)', -?\d+, (?:true|false)\);\n$/

/** The table's data, and the positions of its own sequences. */
export function rowsOf({ entries }: ArchiveContents, table: DumpedTable) {
  const isOf = ({ schema, name }: ArchiveEntry) => schema === table.schema && name === table.name
  const ids = new Set(entries.filter((entry) => entry.kind === 'TABLE' && isOf(entry)).map(({ dumpId }) => dumpId))
  const owned = entries.filter(
    ({ kind, dependencies }) => kind === 'SEQUENCE' && dependencies.some((id) => ids.has(id)),
  )
  const sequences = new Set(owned.map(({ dumpId }) => dumpId))
  return {
    rows: entries.filter((entry) => entry.kind === 'TABLE DATA' && isOf(entry)),
    positions: entries.filter(
      ({ kind, dependencies }) => kind === 'SEQUENCE SET' && dependencies.some((id) => sequences.has(id)),
    ),
  }
}

/** The columns that a plain COPY fills; null where the statement is anything else. */
export function copiedColumns(entry: ArchiveEntry | undefined): string[] | null {
  const columns = PLAIN_COPY.exec(entry?.copy ?? '')?.groups
  return columns ? ((columns['columns'] ?? '').match(new RegExp(NAME, 'g')) ?? []).map(unquote) : null
}

/** The sequence that a plain setval sets; null where the statement is anything else. */
export function sequenceOf({ definition }: ArchiveEntry): SequenceName | null {
  const sequence = PLAIN_SETVAL.exec(definition)?.groups?.['sequence']?.replaceAll("''", "'") ?? ''
  const { schema, name } = QUALIFIED.exec(sequence)?.groups ?? {}
  return schema === undefined || name === undefined ? null : { schema: unquote(schema), name: unquote(name) }
}

const unquote = (name: string) => (name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name)

/** The table with all that hangs on it: columns' defaults, sequences, indexes, constraints, triggers, comments. */
export function definitionOf({ entries }: ArchiveContents, table: DumpedTable): ArchiveEntry[] {
  const isOf = ({ schema, name }: ArchiveEntry) => schema === table.schema && name === table.name
  const taken = new Set(entries.filter((entry) => entry.kind === 'TABLE' && isOf(entry)).map(({ dumpId }) => dumpId))
  const others = new Map(entries.filter(({ kind }) => kind === 'TABLE').map((entry) => [entry.dumpId, entry]))
  const isPart = (entry: ArchiveEntry) => PARTS.test(entry.kind) || isNamedPart(entry, table, others)
  // Twice, since comments and positions hang on indexes and sequences that hang on the table.
  for (let round = 0; round < 2; round++) {
    for (const entry of entries) {
      const hangs = entry.dependencies.some((id) => taken.has(id))
      if (hangs && entry.schema === table.schema && isPart(entry)) taken.add(entry.dumpId)
    }
  }
  return entries.filter(({ dumpId }) => taken.has(dumpId))
}

const PARTS = /^(INDEX|SEQUENCE|SEQUENCE OWNED BY|SEQUENCE SET|STATISTICS|INDEX ATTACH|COMMENT|ACL)$/
const NAMED_PARTS =
  /^(TABLE DATA|TABLE ATTACH|DEFAULT|CONSTRAINT|CHECK CONSTRAINT|FK CONSTRAINT|TRIGGER|RULE|POLICY|ROW SECURITY)$/

/** Its name begins with that of its table, and so may the name of another table: a foreign key of "a b" into "a" is none of "a". */
function isNamedPart(entry: ArchiveEntry, table: DumpedTable, tables: ReadonlyMap<number, ArchiveEntry>): boolean {
  const beginsWith = (name: string) => entry.name === name || entry.name.startsWith(`${name} `)
  const isOfLonger = entry.dependencies.some((id) => {
    const other = tables.get(id)
    return other?.schema === table.schema && other.name.length > table.name.length && beginsWith(other.name)
  })
  return NAMED_PARTS.test(entry.kind) && beginsWith(table.name) && !isOfLonger
}
