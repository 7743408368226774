import { titleOf } from './left-out.ts'
import type { ArchiveContents, ArchiveEntry } from './rewrite-archive.ts'
import type { Session } from './session.ts'

/** They come and go with a table. */
const TABLE_PARTS = new Set([
  ...['INDEX', 'CONSTRAINT', 'FK CONSTRAINT', 'DEFAULT', 'RULE', 'POLICY', 'STATISTICS', 'PUBLICATION TABLE'],
])
/** Kinds of which no two may have the same name. */
const RELATIONS = ['TABLE', 'FOREIGN TABLE', 'VIEW', 'MATERIALIZED VIEW', 'SEQUENCE', 'INDEX']
/** Kinds of which kind, schema and name tell one object from another. */
const NAMED_KINDS = new Set([...[...RELATIONS, ...TABLE_PARTS, 'TYPE', 'DOMAIN', 'FUNCTION', 'PROCEDURE', 'EXTENSION']])

/** What the database has of these kinds, as `lackedBy` asks for it. */
export async function readNames(session: Session): Promise<Set<string>> {
  const { rows } = await session.query<Named>(NAMED)
  return new Set(rows.map(keyOf))
}

type Named = Pick<ArchiveEntry, 'kind' | 'schema' | 'name'>

const keyOf = ({ kind, schema, name }: Named) => JSON.stringify([kind, schema, name])

/** What these entries need of the archive, and neither are nor find in a database that has these names; each said once. */
export function lackedBy(
  entries: readonly ArchiveEntry[],
  contents: ArchiveContents,
  names: ReadonlySet<string>,
): string[] {
  const isLacked = lacks(entries, contents, names)
  const neededBy = new Map<number, ArchiveEntry>()
  for (const entry of entries) for (const id of entry.dependencies) if (!neededBy.has(id)) neededBy.set(id, entry)
  return contents.entries.filter(isLacked).flatMap((lacked) => {
    const needing = neededBy.get(lacked.dumpId)
    return needing ? [`the target lacks ${titleOf(lacked)}, which ${titleOf(needing)} needs`] : []
  })
}

/** What hangs on these entries, which are made anew, and is not in a database that has these names: it went with what was there. */
export function goneWith(
  entries: readonly ArchiveEntry[],
  contents: ArchiveContents,
  names: ReadonlySet<string>,
): string[] {
  const isLacked = lacks(entries, contents, names)
  const hanging = new Set(entries.map(({ dumpId }) => dumpId))
  const hangs = ({ dumpId, dependencies }: ArchiveEntry) =>
    dependencies.some((id) => hanging.has(id)) && hanging.add(dumpId)
  // In the archive each entry comes after what it needs.
  return contents.entries
    .filter((entry) => hangs(entry) && isLacked(entry))
    .map((entry) => `${titleOf(entry)}: it is gone like a table that it hangs on, and is not made again`)
}

/** Relations of the target that have the names of what these entries make: a table that was renamed keeps those of its indexes and sequences. */
export function inTheWayOf(entries: readonly ArchiveEntry[], names: ReadonlySet<string>): string[] {
  const tables = new Map(entries.filter(({ kind }) => kind === 'TABLE').map((entry) => [entry.dumpId, entry.name]))
  // A constraint goes by the name of its table and its own, which its index has.
  const nameOf = ({ kind, name, dependencies }: ArchiveEntry) => {
    const table = dependencies
      .map((id) => tables.get(id))
      .find((one) => one !== undefined && name.startsWith(`${one} `))
    return kind === 'CONSTRAINT' && table !== undefined ? name.slice(table.length + 1) : name
  }
  return entries
    .filter(({ kind }) => /^(SEQUENCE|INDEX|CONSTRAINT)$/.test(kind))
    .map((entry) => ({ schema: entry.schema, name: nameOf(entry) }))
    .flatMap(({ schema, name }) => RELATIONS.map((kind) => ({ kind, schema, name })))
    .filter((named) => names.has(keyOf(named)))
    .map(({ kind, schema, name }) => `the target has another ${kind} ${schema}.${name}: rename it`)
}

/** What a database that has these names lacks of what the archive has: all but the entries themselves, and parts of what it lacks. */
function lacks(entries: readonly ArchiveEntry[], contents: ArchiveContents, names: ReadonlySet<string>) {
  const taken = new Set(entries.map(({ dumpId }) => dumpId))
  const isAbsent = (entry: ArchiveEntry) =>
    NAMED_KINDS.has(entry.kind) && !taken.has(entry.dumpId) && !names.has(keyOf(entry))
  const wholes = new Set(
    contents.entries.filter((entry) => !TABLE_PARTS.has(entry.kind) && isAbsent(entry)).map(({ dumpId }) => dumpId),
  )
  return (entry: ArchiveEntry) =>
    isAbsent(entry) && !(TABLE_PARTS.has(entry.kind) && entry.dependencies.some((id) => wholes.has(id)))
}

const NAMED = `
  SELECT * FROM (
    SELECT CASE relkind WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                        WHEN 'i' THEN 'INDEX' WHEN 'I' THEN 'INDEX' ELSE 'TABLE' END AS kind, nspname AS schema, relname AS name
      FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'p', 'f', 'v', 'm', 'S', 'i', 'I')
    UNION ALL
    SELECT CASE contype WHEN 'f' THEN 'FK CONSTRAINT' ELSE 'CONSTRAINT' END, nspname, relname || ' ' || conname
      FROM pg_constraint JOIN pg_class c ON c.oid = conrelid JOIN pg_namespace n ON n.oid = relnamespace
    UNION ALL
    SELECT 'DEFAULT', nspname, relname || ' ' || attname
      FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
      JOIN pg_class c ON c.oid = adrelid JOIN pg_namespace n ON n.oid = relnamespace
    UNION ALL
    SELECT 'RULE', nspname, relname || ' ' || rulename
      FROM pg_rewrite JOIN pg_class c ON c.oid = ev_class JOIN pg_namespace n ON n.oid = relnamespace
    UNION ALL
    SELECT 'POLICY', nspname, relname || ' ' || polname
      FROM pg_policy JOIN pg_class c ON c.oid = polrelid JOIN pg_namespace n ON n.oid = relnamespace
    UNION ALL
    SELECT 'STATISTICS', nspname, stxname FROM pg_statistic_ext JOIN pg_namespace n ON n.oid = stxnamespace
    UNION ALL
    SELECT 'PUBLICATION TABLE', nspname, pubname || ' ' || relname
      FROM pg_publication_rel JOIN pg_publication p ON p.oid = prpubid
      JOIN pg_class c ON c.oid = prrelid JOIN pg_namespace n ON n.oid = relnamespace
    UNION ALL
    SELECT CASE typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, nspname, typname
      FROM pg_type JOIN pg_namespace n ON n.oid = typnamespace
    UNION ALL
    SELECT CASE prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, nspname, proname || '(' || oidvectortypes(proargtypes) || ')'
      FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace
    UNION ALL
    SELECT 'EXTENSION', '', extname FROM pg_extension
  ) named WHERE schema NOT LIKE 'pg\\_%' AND schema <> 'information_schema'`
