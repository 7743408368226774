import { execFile } from 'node:child_process'
import { glob, realpath } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { CofferError } from '../errors.ts'

/** The client programs of one installed major version. */
export interface PostgresClient {
  major: number
  /** As the program tells it, for example `15.18 (Debian 15.18-0+deb12u1)`. */
  version: string
  pgDump: string
  pgRestore: string
}

const USUAL_FOLDERS = [
  '/usr/lib/postgresql/*/bin',
  '/usr/libexec/postgresql*',
  '/usr/pgsql-*/bin',
  '/usr/local/pgsql*/bin',
  '/opt/homebrew/opt/{postgresql,libpq}*/bin',
  '/usr/local/opt/{postgresql,libpq}*/bin',
  '/Applications/Postgres.app/Contents/Versions/*/bin',
  '/usr/local/bin',
  '/usr/bin',
]
const VERSION_TIMEOUT_MS = 10_000

const run = promisify(execFile)

/** Every major version of pg_dump with its pg_restore in these folders (patterns as for glob), oldest first; of one major the first found. */
export async function findPostgresClients(folders: readonly string[] = USUAL_FOLDERS): Promise<PostgresClient[]> {
  const found = new Map<number, PostgresClient>()
  for (const folder of folders) {
    for await (const pgDump of glob(join(folder, 'pg_dump'))) {
      const client = await inspectClient(pgDump)
      if (client && !found.has(client.major)) found.set(client.major, client)
    }
  }
  return [...found.values()].sort((a, b) => a.major - b.major)
}

/**
 * The client of the server's own major version, else the smallest above: an older pg_dump refuses the server, and the dump of a newer
 * one may not go back into an older server.
 *
 * @throws CLIENT_MISSING where none is installed, SERVER_VERSION_UNSUPPORTED where the server is newer than all
 */
export function chooseClient(clients: readonly PostgresClient[], serverMajor: number): PostgresClient {
  const chosen = smallest(clients.filter(({ major }) => major >= serverMajor))
  if (chosen) return chosen
  if (clients.length === 0) throw new CofferError('CLIENT_MISSING', 'pg_dump is not installed on this machine')
  throw new CofferError(
    'SERVER_VERSION_UNSUPPORTED',
    `the server runs PostgreSQL ${serverMajor}, and the newest pg_dump on this machine is too old for it (installed: ${listMajors(clients)})`,
    { details: { server_major: serverMajor, installed_majors: clients.map(({ major }) => major) } },
  )
}

/** What pg_restore 17 and newer say to the server first, an older server does not understand. */
const FIRST_MAJOR_WITH_TRANSACTION_TIMEOUT = 17

/**
 * The client that can read an archive of this pg_dump major and talk to this server, as near to the one that dumped as possible.
 *
 * @throws CLIENT_MISSING
 */
export function chooseRestoreClient(
  clients: readonly PostgresClient[],
  archiveMajor: number,
  serverMajor: number,
): PostgresClient {
  const newest =
    serverMajor < FIRST_MAJOR_WITH_TRANSACTION_TIMEOUT ? FIRST_MAJOR_WITH_TRANSACTION_TIMEOUT - 1 : Infinity
  const chosen = smallest(clients.filter(({ major }) => major >= archiveMajor && major <= newest))
  if (chosen) return chosen
  const needed = newest === Infinity ? `${archiveMajor} or newer` : `${archiveMajor} to ${newest}`
  throw new CofferError(
    'CLIENT_MISSING',
    `no pg_restore ${needed} is installed on this machine, as a dump by pg_dump ${archiveMajor} into a server of PostgreSQL ${serverMajor} needs it (installed: ${listMajors(clients)})`,
  )
}

function smallest(clients: readonly PostgresClient[]): PostgresClient | undefined {
  return [...clients].sort((a, b) => a.major - b.major)[0]
}

function listMajors(clients: readonly PostgresClient[]): string {
  return clients.map(({ major }) => major).join(', ') || 'none'
}

async function inspectClient(path: string): Promise<PostgresClient | null> {
  try {
    const pgDump = await realpath(path)
    // Debian's /usr/bin/pg_dump is a script that chooses a version by itself.
    if (basename(pgDump) !== 'pg_dump') return null
    const pgRestore = join(pgDump, '..', 'pg_restore')
    const [dump, restore] = [await askVersion(pgDump), await askVersion(pgRestore)]
    return dump.major === restore.major ? { ...dump, pgDump, pgRestore } : null
  } catch {
    return null
  }
}

async function askVersion(program: string): Promise<{ major: number; version: string }> {
  const { stdout } = await run(program, ['--version'], { env: { LANG: 'C' }, timeout: VERSION_TIMEOUT_MS })
  const version = /\(PostgreSQL\) (.+)/.exec(stdout)?.[1]?.trim()
  if (version === undefined) throw new Error(`${program} does not tell a version of PostgreSQL`)
  return { major: majorOf(version), version }
}

/** 15 of `15.18 (Debian …)`; of `9.6.24`, too old for any client in use, 9. */
export function majorOf(version: string): number {
  return Number.parseInt(version, 10)
}
