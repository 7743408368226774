import { notEmptyAnyMore } from '../errors.ts'
import { describeConnection, type PostgresConnection } from './connection.ts'
import { withSession, type Session } from './session.ts'

export interface InstalledExtension {
  name: string
  version: string
  schema: string
}

export interface ServerInfo {
  /** `server_version_num`, for example 150018. */
  versionNumber: number
  major: number
  /** As the server tells it, for example `15.18 (Debian 15.18-0+deb12u1)`. */
  version: string
  encoding: string
  collate: string
  ctype: string
  extensions: InstalledExtension[]
  sizeBytes: number
  /** Nothing is in the database that a fresh one has not; what belongs to extensions does not count. */
  isEmpty: boolean
}

const QUERY_TIMEOUT_MS = 120_000
const LISTED_OBJECTS = 5

/**
 * Asks the server what a dump or restore needs to know of it and of the database.
 *
 * @throws SOURCE_AUTH_FAILED, SOURCE_DATABASE_UNKNOWN, SOURCE_PERMISSION_DENIED, SOURCE_UNREACHABLE; each names user, host, port, database
 */
export function inspectServer(
  connection: PostgresConnection,
  options: { signal?: AbortSignal | undefined; connectTimeoutMs?: number } = {},
): Promise<ServerInfo> {
  return withSession(connection, { queryTimeoutMs: QUERY_TIMEOUT_MS, ...options }, async (session) => {
    const { rows } = await session.query<Omit<ServerInfo, 'major' | 'extensions' | 'isEmpty'>>(DATABASE)
    const [database] = rows
    if (!database) throw new Error('pg_database does not list the current database')
    const extensions = await session.query<InstalledExtension>(EXTENSIONS)
    return {
      ...database,
      major: Math.floor(database.versionNumber / 10_000),
      extensions: extensions.rows,
      isEmpty: (await listUserObjects(session, 1)).length === 0,
    }
  })
}

/** Asked again at the last moment of a restore that backs nothing up, since there was nothing. @throws TARGET_NOT_EMPTY */
export async function requireStillEmpty(
  connection: PostgresConnection,
  options: { signal?: AbortSignal | undefined },
): Promise<void> {
  await withSession(connection, { queryTimeoutMs: QUERY_TIMEOUT_MS, ...options }, (session) =>
    refuseObjects(session, connection),
  )
}

/** @throws TARGET_NOT_EMPTY */
export async function refuseObjects(session: Session, connection: PostgresConnection): Promise<void> {
  const [first] = await listUserObjects(session, 1)
  if (first !== undefined) throw notEmptyAnyMore(`${describeConnection(connection)} holds ${first}`)
}

/**
 * Descriptions of at most `limit` objects that somebody made in the database, extensions and what belongs to them left out. Subscriptions
 * come last and are never foreign: nothing drops them, and they stay where a restore goes in place.
 *
 * @param options.foreign only those that the session's role can't drop, since they belong to another
 */
export async function listUserObjects(
  session: Session,
  limit = LISTED_OBJECTS,
  { foreign = false }: { foreign?: boolean } = {},
): Promise<string[]> {
  const { rows } = await session.query<{ description: string }>(
    `SELECT * FROM (
       SELECT pg_describe_object(class, object, 0) AS description FROM (${USER_OBJECTS}) user_objects
        WHERE NOT $2 OR NOT coalesce(pg_has_role(owner, 'USAGE'), true) ORDER BY rank, object LIMIT $1) objects
      UNION ALL
     SELECT 'subscription ' || subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
      WHERE d.datname = current_database() AND NOT $2 LIMIT $1`,
    [limit, foreign],
  )
  return rows.map(({ description }) => description)
}

const DATABASE = `
  SELECT current_setting('server_version_num')::int AS "versionNumber", current_setting('server_version') AS version,
         pg_encoding_to_char(encoding) AS encoding, datcollate AS collate, datctype AS ctype,
         pg_database_size(oid)::float8 AS "sizeBytes"
    FROM pg_database WHERE datname = current_database()`

const EXTENSIONS = `
  SELECT extname AS name, extversion AS version, nspname AS schema
    FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace ORDER BY extname`

// Object ids below 16384 belong to the system, except those of large objects, which anybody may choose. Index, toast, row and
// array types come and go with what is listed here.
export const USER_OBJECTS = `
  SELECT * FROM (
    SELECT 1 AS rank, 'pg_class'::regclass AS class, oid AS object, relowner AS owner FROM pg_class
     WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
    UNION ALL SELECT 2, 'pg_namespace'::regclass, oid, nspowner FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'
    UNION ALL SELECT 3, 'pg_proc'::regclass, oid, proowner FROM pg_proc
    UNION ALL SELECT 4, 'pg_type'::regclass, t.oid, typowner FROM pg_type t LEFT JOIN pg_class c ON c.oid = typrelid
               WHERE typtype IN ('d', 'e', 'r', 'p') OR (typtype = 'c' AND c.relkind = 'c')
                  OR (typtype = 'b' AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid))
    UNION ALL SELECT 5, 'pg_largeobject'::regclass, oid, lomowner FROM pg_largeobject_metadata
    UNION ALL SELECT 6, 'pg_operator'::regclass, oid, oprowner FROM pg_operator
    UNION ALL SELECT 6, 'pg_cast'::regclass, oid, NULL FROM pg_cast
    UNION ALL SELECT 6, 'pg_collation'::regclass, oid, collowner FROM pg_collation
    UNION ALL SELECT 6, 'pg_conversion'::regclass, oid, conowner FROM pg_conversion
    UNION ALL SELECT 6, 'pg_ts_config'::regclass, oid, cfgowner FROM pg_ts_config
    UNION ALL SELECT 6, 'pg_ts_dict'::regclass, oid, dictowner FROM pg_ts_dict
    UNION ALL SELECT 7, 'pg_foreign_data_wrapper'::regclass, oid, fdwowner FROM pg_foreign_data_wrapper
    UNION ALL SELECT 7, 'pg_foreign_server'::regclass, oid, srvowner FROM pg_foreign_server
    UNION ALL SELECT 7, 'pg_event_trigger'::regclass, oid, evtowner FROM pg_event_trigger
    UNION ALL SELECT 7, 'pg_publication'::regclass, oid, pubowner FROM pg_publication
  ) made
  WHERE (object >= 16384 OR class = 'pg_largeobject'::regclass)
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = class AND d.objid = object AND d.deptype = 'e')`
