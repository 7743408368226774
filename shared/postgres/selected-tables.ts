import type { DumpContents } from '../domain/manifest.ts'
import type { Selection } from '../domain/selection.ts'
import { readNames } from './named-objects.ts'
import { quoteIdentifier, type Session } from './session.ts'

export type DumpedTable = DumpContents['tables'][number]

interface ForeignKey {
  name: string
  definition: string
  comment: string | null
  /** The table that it points to. */
  schema: string
  table: string
  isInherited: boolean
}

/** A selected table as it is in the target. */
export interface LivingTable extends DumpedTable {
  kind: string
  isOwned: boolean
  columns: string[]
  /** Its own sequences, which always lie in its schema. */
  sequences: string[]
  isGuarded: boolean
  foreignKeys: ForeignKey[]
  /** Tables with a foreign key into this one. */
  referencedBy: { schema: string; table: string }[]
  /** Those that fire. What is internal only a superuser can disable. */
  triggers: { name: string; mode: 'O' | 'A' | 'R'; isInternal: boolean }[]
}

/** What the target has of a selection, and around it. */
export interface Surroundings {
  living: LivingTable[]
  schemas: { name: string; mayCreate: boolean }[]
  /** By `readNames`; none where no table of the selection is gone. */
  names: ReadonlySet<string>
}

/** The tables of the dump that a selection names, and what it names that the dump has not. */
export function selectTables(
  { schemas, tables, paths }: Selection,
  expected: DumpContents,
): { chosen: DumpedTable[]; findings: string[] } {
  const nameOf = ({ schema, name }: DumpedTable) => `${schema}.${name}`
  const meantBy = (table: string) => expected.tables.filter((one) => nameOf(one) === table)
  const inSchema = (schema: string) => expected.tables.some((table) => table.schema === schema)
  return {
    chosen: expected.tables.filter((table) => schemas.includes(table.schema) || tables.includes(nameOf(table))),
    findings: [
      ...tables
        .filter((table) => meantBy(table).length === 0)
        .map((table) => `the backup has no table ${table} with rows of its own`),
      // A dot may be part of a name.
      ...tables
        .filter((table) => meantBy(table).length > 1)
        .map((table) => `${table} may mean ${meantBy(table).map(quoteTable).join(' or ')}: select a schema`),
      ...schemas.filter((schema) => !inSchema(schema)).map((schema) => `the backup has no table in a schema ${schema}`),
      ...(paths.length > 0 ? ['paths are of media, and this is a database'] : []),
    ],
  }
}

/** Of the session's database. */
export async function readSurroundings(session: Session, chosen: readonly DumpedTable[]): Promise<Surroundings> {
  // So that the definitions of foreign keys name their tables in full, as pg_restore needs it.
  await session.query(`SET search_path TO ''`)
  const living = await session.query<LivingTable>(LIVING, [
    chosen.map(({ schema }) => schema),
    chosen.map(({ name }) => name),
    chosen.map(({ rows }) => rows),
  ])
  const schemas = await session.query<Surroundings['schemas'][number]>(SCHEMAS)
  const names = living.rows.length < chosen.length ? await readNames(session) : new Set<string>()
  return { living: living.rows, schemas: schemas.rows, names }
}

export const quoteTable = ({ schema, name }: { schema: string; name: string }): string =>
  `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`

const SCHEMAS = `SELECT nspname AS name, has_schema_privilege(oid, 'CREATE') AS "mayCreate" FROM pg_namespace`

// Before PostgreSQL 15 triggers that come from a partitioned table are internal, as are those that stand for constraints.
const LIVING = `
  SELECT n.nspname AS schema, c.relname AS name, chosen.rows::float8 AS rows, c.relkind AS kind,
         pg_has_role(c.relowner, 'USAGE') AS "isOwned", c.relrowsecurity AND c.relforcerowsecurity AS "isGuarded",
         (SELECT coalesce(json_agg(attname ORDER BY attnum), '[]') FROM pg_attribute
           WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) AS columns,
         (SELECT coalesce(json_agg(s.relname ORDER BY s.relname), '[]')
            FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
           WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
             AND d.refobjid = c.oid AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')) AS sequences,
         (SELECT coalesce(json_agg(json_build_object('name', k.conname, 'definition', pg_get_constraintdef(k.oid),
                   'comment', obj_description(k.oid, 'pg_constraint'), 'schema', fn.nspname, 'table', f.relname,
                   'isInherited', k.conparentid <> 0) ORDER BY k.oid), '[]')
            FROM pg_constraint k JOIN pg_class f ON f.oid = k.confrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
           WHERE k.contype = 'f' AND k.conrelid = c.oid) AS "foreignKeys",
         (SELECT coalesce(json_agg(json_build_object('schema', fn.nspname, 'table', f.relname)), '[]')
            FROM pg_constraint k JOIN pg_class f ON f.oid = k.conrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
           WHERE k.contype = 'f' AND k.confrelid = c.oid) AS "referencedBy",
         (SELECT coalesce(json_agg(json_build_object('name', tgname, 'mode', tgenabled, 'isInternal', tgisinternal)
                   ORDER BY tgname), '[]')
            FROM pg_trigger LEFT JOIN pg_constraint k ON k.oid = tgconstraint
           WHERE tgrelid = c.oid AND tgenabled <> 'D' AND (NOT tgisinternal OR coalesce(k.contype, 't') = 't')) AS triggers
    FROM unnest($1::text[], $2::text[], $3::bigint[]) AS chosen (schema, name, rows)
    JOIN pg_namespace n ON n.nspname = chosen.schema
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = chosen.name
   ORDER BY 1, 2`
