import type { DumpContents } from '../domain/manifest.ts'
import type { PostgresConnection } from './connection.ts'
import { listUncarriable } from './database-properties.ts'
import { extensionFates, freshExtensionFates, type ExtensionFate } from './extensions.ts'
import { majorOf } from './clients.ts'
import { foreseeLostLocale, readLocale, type DatabaseLocale } from './locale.ts'
import { listReplication } from './replication.ts'
import { inspectServer, listUserObjects, type ServerInfo } from './server.ts'
import { withSession, type Session } from './session.ts'
import { findDoor } from './swap.ts'

/** What a restore asks of the database that it goes into, and of the role that it goes in by. */
export interface Target extends ServerInfo {
  connection: PostgresConnection
  isSuperuser: boolean
  mayCreateDatabases: boolean
  ownsDatabase: boolean
  mayCreateSchemas: boolean
  /** Of the schema public. */
  ownsPublic: boolean
  tablespace: string
  mayUseTablespace: boolean
  comment: string | null
  /** Rights over the server's files and programs, which a hostile dump would use. */
  dangerousRights: string[]
  /** Roles with sessions here that this role may not end. */
  lastingSessions: string[]
  preparedTransactions: number
  /** Examples of what this role may not drop. */
  foreignObjects: string[]
  /** Schemas in which extensions of other roles lie. */
  foreignSchemas: string[]
  /** All of the server. */
  roles: string[]
  fates: Map<string, ExtensionFate>
  /** In a new database on the same server. */
  freshFates: Map<string, ExtensionFate>
  /** Another database of the server that the role may enter; null where there is none. */
  door: PostgresConnection | null
  /** Settings of the database that this role can't give to another. */
  uncarriable: string[]
  /** What of logical replication a swap would leave with the old database. */
  replication: string[]
  locale: DatabaseLocale
  /** That of the dump, where a swap would not bring it. */
  lostLocale: string[]
}

type Facts = Omit<
  Target,
  | keyof ServerInfo
  | 'connection'
  | 'foreignObjects'
  | 'fates'
  | 'freshFates'
  | 'door'
  | 'uncarriable'
  | 'replication'
  | 'locale'
  | 'lostLocale'
>

/** @throws SOURCE_AUTH_FAILED, SOURCE_DATABASE_UNKNOWN, SOURCE_PERMISSION_DENIED, SOURCE_UNREACHABLE */
export async function lookAtTarget(
  connection: PostgresConnection,
  expected: DumpContents,
  signal: AbortSignal | undefined,
): Promise<Target> {
  const server = await inspectServer(connection, { signal })
  const door = await findDoor(connection, signal)
  return withSession(connection, { signal }, async (session) => {
    const locale = await readLocale(session, connection.database)
    return {
      ...server,
      ...(await readFacts(session)),
      connection,
      door,
      foreignObjects: await listUserObjects(session, 5, { foreign: true }),
      fates: await extensionFates(session, expected),
      freshFates: await freshExtensionFates(session, expected),
      uncarriable: await listUncarriable(session, connection.database),
      replication: await listReplication(session, connection.database),
      locale,
      lostLocale: await foreseeLostLocale(session, expected, locale),
    }
  })
}

/** What stands against a restore of this dump whatever way it takes. */
export function compareServers(target: Target, expected: DumpContents): string[] {
  const findings: string[] = []
  if (target.major < majorOf(expected.server_version)) {
    findings.push(`its server runs PostgreSQL ${target.version}, older than the dumped ${expected.server_version}`)
  }
  if (target.encoding !== expected.encoding) {
    findings.push(`its encoding is ${target.encoding}, not ${expected.encoding}`)
  }
  for (const { name, version } of expected.extensions) {
    if (target.fates.get(name) === 'unavailable') findings.push(`its server lacks the extension ${name} ${version}`)
  }
  for (const right of target.isSuperuser ? [] : target.dangerousRights) {
    findings.push(
      `the role ${target.connection.user} is a member of ${right}, which a hostile dump could use against the server`,
    )
  }
  return findings
}

async function readFacts(session: Session): Promise<Facts> {
  const { rows } = await session.query<Facts>(FACTS)
  if (!rows[0]) throw new Error('pg_database does not list the current database')
  return rows[0]
}

const FACTS = `
  SELECT r.rolsuper AS "isSuperuser", r.rolsuper OR r.rolcreatedb AS "mayCreateDatabases",
         pg_has_role(d.datdba, 'USAGE') AS "ownsDatabase", t.spcname AS tablespace,
         t.spcname = 'pg_default' OR has_tablespace_privilege(t.oid, 'CREATE') AS "mayUseTablespace",
         shobj_description(d.oid, 'pg_database') AS comment,
         has_database_privilege(d.oid, 'CREATE') AS "mayCreateSchemas",
         coalesce((SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = 'public'), false) AS "ownsPublic",
         (SELECT coalesce(json_agg(rolname ORDER BY rolname), '[]') FROM pg_roles m
           WHERE rolname IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files')
             AND pg_has_role(m.oid, 'MEMBER')) AS "dangerousRights",
         (SELECT coalesce(json_agg(DISTINCT a.usename), '[]') FROM pg_stat_activity a JOIN pg_roles o ON o.oid = a.usesysid
           WHERE a.datid = d.oid AND a.pid <> pg_backend_pid() AND NOT r.rolsuper
             AND (o.rolsuper OR NOT (pg_has_role(o.oid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE')))
         ) AS "lastingSessions",
         (SELECT count(*)::int FROM pg_prepared_xacts WHERE database = d.datname) AS "preparedTransactions",
         (SELECT coalesce(json_agg(DISTINCT nspname), '[]') FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
           WHERE e.oid >= 16384 AND n.oid >= 16384 AND NOT pg_has_role(e.extowner, 'USAGE')) AS "foreignSchemas",
         (SELECT json_agg(rolname) FROM pg_roles) AS roles
    FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace JOIN pg_roles r ON r.rolname = current_user
   WHERE d.datname = current_database()`
