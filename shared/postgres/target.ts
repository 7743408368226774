import type { DumpContents } from '../domain/manifest.ts'
import { CofferError } from '../errors.ts'
import { majorOf } from './clients.ts'
import { describeConnection, type PostgresConnection } from './connection.ts'
import { inspectServer, listUserObjects, type ServerInfo } from './server.ts'
import { withSession, type Session } from './session.ts'

interface AvailableExtension {
  name: string
  isInstalled: boolean
  /** The role may create it, or, where it is installed, set its comment, as every dump does. */
  isUsable: boolean
}

/**
 * Finds out whether a whole dump can go into this database, before anything is written.
 *
 * @throws TARGET_NOT_EMPTY, else TARGET_INCOMPATIBLE, with all findings at once
 */
export async function checkTarget(
  connection: PostgresConnection,
  expected: DumpContents,
  signal: AbortSignal | undefined,
): Promise<ServerInfo> {
  const server = await inspectServer(connection, { signal })
  const { objects, extensions, mayCreate } = await withSession(connection, { signal }, async (session) => ({
    objects: await listUserObjects(session),
    extensions: await listAvailableExtensions(session),
    mayCreate: await mayCreateSchemas(session),
  }))
  const findings = [
    ...(objects.length > 0 ? [`it is not empty: it has for example ${objects.join(', ')}`] : []),
    ...compareServers(server, expected),
    ...(mayCreate ? [] : [`the role ${connection.user} may not create schemas in it`]),
    ...compareExtensions(extensions, expected),
  ]
  if (findings.length === 0) return server
  throw new CofferError(
    objects.length > 0 ? 'TARGET_NOT_EMPTY' : 'TARGET_INCOMPATIBLE',
    `${describeConnection(connection)} cannot take the dump of ${expected.database}: ${findings.join('; ')}`,
    { details: { findings } },
  )
}

function compareServers(server: ServerInfo, expected: DumpContents): string[] {
  const findings: string[] = []
  if (server.major < majorOf(expected.server_version)) {
    findings.push(`its server runs PostgreSQL ${server.version}, older than the dumped ${expected.server_version}`)
  }
  if (server.encoding !== expected.encoding) {
    findings.push(`its encoding is ${server.encoding}, not ${expected.encoding}`)
  }
  return findings
}

function compareExtensions(available: readonly AvailableExtension[], expected: DumpContents): string[] {
  const byName = new Map(available.map((extension) => [extension.name, extension]))
  return expected.extensions.flatMap(({ name, version }) => {
    const extension = byName.get(name)
    if (!extension) return [`its server lacks the extension ${name} ${version}`]
    if (extension.isUsable) return []
    return extension.isInstalled
      ? [`the extension ${name} is installed and belongs to another role`]
      : [`only a superuser can create the extension ${name}`]
  })
}

async function mayCreateSchemas(session: Session): Promise<boolean> {
  const { rows } = await session.query<{ may: boolean }>(
    `SELECT has_database_privilege(current_database(), 'CREATE') AS may`,
  )
  return rows[0]?.may ?? false
}

// An extension of the system's own (plpgsql) is in every database and in no dump.
async function listAvailableExtensions(session: Session): Promise<AvailableExtension[]> {
  const { rows } = await session.query<AvailableExtension>(`
    SELECT a.name, e.oid IS NOT NULL AS "isInstalled",
           r.rolsuper OR CASE WHEN e.oid IS NULL THEN NOT v.superuser OR v.trusted
                              ELSE e.oid < 16384 OR pg_has_role(e.extowner, 'MEMBER') END AS "isUsable"
      FROM pg_available_extensions a
      JOIN pg_available_extension_versions v ON v.name = a.name AND v.version = a.default_version
      JOIN pg_roles r ON r.rolname = current_user
      LEFT JOIN pg_extension e ON e.extname = a.name`)
  return rows
}
