import type { DumpContents } from '../domain/manifest.ts'
import type { Session } from './session.ts'

/**
 * What becomes of an extension of the dump: the role may `create` it; it is `present`, in the hands of another role; it is `forbidden`,
 * since only a superuser can create it; or the server lacks it, `unavailable`.
 */
export type ExtensionFate = 'create' | 'present' | 'forbidden' | 'unavailable'

/** By name, for every extension of the dump, as the session's role sees it in the session's database. */
export const extensionFates = (session: Session, dumped: DumpContents): Promise<Map<string, ExtensionFate>> =>
  askFates(session, dumped, FATES)

/** The same for a new database on the session's server, where a superuser creates beforehand what its lesser role can't. */
export const freshExtensionFates = (session: Session, dumped: DumpContents): Promise<Map<string, ExtensionFate>> =>
  askFates(session, dumped, FRESH_FATES)

async function askFates(session: Session, dumped: DumpContents, sql: string): Promise<Map<string, ExtensionFate>> {
  const names = dumped.extensions.map(({ name }) => name)
  const { rows } = await session.query<{ name: string; fate: ExtensionFate }>(sql, [names])
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
                      WHEN r.rolsuper THEN 'present' ELSE 'forbidden' END AS fate
    FROM pg_available_extensions a
    JOIN pg_available_extension_versions v ON v.name = a.name AND v.version = a.default_version
    JOIN pg_roles r ON r.rolname = current_user
   WHERE a.name = ANY ($1)`
