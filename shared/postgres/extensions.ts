import type { DumpContents } from '../domain/manifest.ts'
import { quoteIdentifier, type Session } from './session.ts'

/**
 * What becomes of an extension of the dump: the role may `create` it; it is `present`, in the hands of another role; it is `forbidden`,
 * since only a superuser can create it; or the server lacks it, `unavailable`.
 */
export type ExtensionFate = 'create' | 'present' | 'forbidden' | 'unavailable'

/**
 * What a superuser creates because a dump names it, beside what any role may create: none of these reaches the server's files, programs or
 * network. Every other one (dblink, http, file_fdw) would lend a dump's author the server's place in its network.
 */
const HARMLESS = [
  ...['postgis', 'postgis_raster', 'postgis_sfcgal', 'postgis_topology', 'postgis_tiger_geocoder', 'pgrouting'],
  ...['address_standardizer', 'vector', 'pg_stat_statements', 'hypopg'],
]

/** By name, for every extension of the dump, as the session's role sees it in the session's database. */
export const extensionFates = (session: Session, dumped: DumpContents): Promise<Map<string, ExtensionFate>> =>
  askFates(session, dumped, FATES)

/**
 * The same for a new database that is to take the place of the session's: there a superuser creates beforehand what its lesser role can't,
 * as far as it is harmless or the session's database has it too.
 */
export const freshExtensionFates = (session: Session, dumped: DumpContents): Promise<Map<string, ExtensionFate>> =>
  askFates(session, dumped, FRESH_FATES, HARMLESS)

/**
 * Creates in the session's database, as its superuser, what is forbidden to a lesser role and harmless or among `trusted`, after what it
 * requires of what anybody may create. Sets its fate to `present`.
 *
 * @param owner of the schemas that are made for them
 * @returns the schemas that they lie in
 */
export async function createForbidden(
  session: Session,
  dumped: DumpContents,
  fates: Map<string, ExtensionFate>,
  { trusted, owner }: { trusted: readonly string[]; owner: string },
): Promise<Set<string>> {
  const schemas = new Set<string>()
  const create = async (name: string): Promise<void> => {
    const extension = dumped.extensions.find((one) => one.name === name)
    if (!extension || fates.get(name) === 'present') return
    const { rows } = await session.query<{ name: string }>(REQUIRED, [name])
    for (const required of rows) if (isCreatable(required.name)) await create(required.name)
    await createExtension(session, extension, owner)
    fates.set(name, 'present')
    schemas.add(extension.schema)
  }
  const isCreatable = (name: string) =>
    fates.get(name) === 'create' || (fates.get(name) === 'forbidden' && [...HARMLESS, ...trusted].includes(name))
  for (const { name } of dumped.extensions) if (fates.get(name) === 'forbidden' && isCreatable(name)) await create(name)
  return schemas
}

async function createExtension(
  session: Session,
  { name, schema }: DumpContents['extensions'][number],
  owner: string,
): Promise<void> {
  const quoted = quoteIdentifier(schema)
  const { rows } = await session.query('SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1', [schema])
  if (rows.length === 0) await session.query(`CREATE SCHEMA ${quoted} AUTHORIZATION ${quoteIdentifier(owner)}`)
  await session.query(`CREATE EXTENSION IF NOT EXISTS ${quoteIdentifier(name)} SCHEMA ${quoted}`)
}

async function askFates(
  session: Session,
  dumped: DumpContents,
  sql: string,
  ...values: unknown[]
): Promise<Map<string, ExtensionFate>> {
  const names = dumped.extensions.map(({ name }) => name)
  const { rows } = await session.query<{ name: string; fate: ExtensionFate }>(sql, [names, ...values])
  const fates = new Map(rows.map(({ name, fate }) => [name, fate]))
  return new Map(names.map((name) => [name, fates.get(name) ?? 'unavailable']))
}

// An extension of the system's own (plpgsql) is in every database and in no dump.
const FATES = `
  SELECT a.name,
         CASE WHEN e.oid IS NOT NULL AND e.oid >= 16384 AND NOT pg_has_role(e.extowner, 'MEMBER') THEN 'present'
              WHEN e.oid IS NOT NULL OR r.rolsuper OR NOT v.superuser OR v.trusted THEN 'create'
              ELSE 'forbidden' END AS fate
    FROM pg_available_extensions a
    JOIN pg_available_extension_versions v ON v.name = a.name AND v.version = a.default_version
    JOIN pg_roles r ON r.rolname = current_user
    LEFT JOIN pg_extension e ON e.extname = a.name
   WHERE a.name = ANY ($1)`

const FRESH_FATES = `
  SELECT a.name, CASE WHEN a.name = 'plpgsql' OR NOT v.superuser OR v.trusted THEN 'create'
                      WHEN r.rolsuper AND (a.name = ANY ($2::text[]) OR a.installed_version IS NOT NULL) THEN 'present'
                      ELSE 'forbidden' END AS fate
    FROM pg_available_extensions a
    JOIN pg_available_extension_versions v ON v.name = a.name AND v.version = a.default_version
    JOIN pg_roles r ON r.rolname = current_user
   WHERE a.name = ANY ($1)`

const REQUIRED = `
  SELECT unnest(v.requires) AS name
    FROM pg_available_extensions a
    JOIN pg_available_extension_versions v ON v.name = a.name AND v.version = a.default_version
   WHERE a.name = $1`
