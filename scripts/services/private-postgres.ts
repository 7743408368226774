import { readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { Client, escapeIdentifier, escapeLiteral } from 'pg'
import { CofferError } from '../../shared/errors.ts'
import type { PostgresBinaries } from './binaries.ts'
import { clusterMajor, makeCluster, SUPERUSER } from './postgres-cluster.ts'
import {
  endRecordedServer,
  freePort,
  launch,
  logTail,
  newPassword,
  portForRetry,
  recordServer,
  reviveServer,
  type RunningServer,
  type ServerPlace,
} from './private-server.ts'
import { markProcess } from './processes.ts'
import { readServerSettings, updateServerSettings, type ServerSettings } from './run-record.ts'

type PostgresSettings = NonNullable<ServerSettings['postgres']>

/** Coffer's role and database. The role is no superuser: what is restored into this server runs with it, too. */
const OWNER = 'coffer'
/** Restores for drills, which may be hostile, into databases of its own; it can't enter the catalog. */
const DRILLER = 'coffer_drill'
const START_ATTEMPTS = 5
/** Haste in the place of safety; and what tests need to have replication slots. */
const DISPOSABLE = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off', wal_level: 'logical' }

/**
 * Adopts the private PostgreSQL of this place when it still runs, else starts it, making its cluster the first time. The
 * address is the superuser's for a disposable server, that of Coffer's own role for others.
 */
export async function startPrivatePostgres(place: ServerPlace, binaries: PostgresBinaries): Promise<RunningServer> {
  const folder = join(place.folder, 'postgres')
  const isMade = clusterMajor(folder) !== undefined
  const known = readServerSettings(place.dataDir).postgres
  if (isMade && known === undefined) throw passwordUnknown(place, folder)
  let settings = { ...(known ?? (await newSettings())) }
  const drillPassword = (settings.drillPassword ??= newPassword())
  updateServerSettings(place.dataDir, { postgres: settings })
  if (!isMade) makeCluster(place, binaries, folder, settings.password)

  if (!(await adopt(place, folder, settings))) {
    // What is recorded and does not answer hangs: it gets no time to say goodbye.
    await stopPrivatePostgres({ ...place, disposable: true })
    for (let attempt = 1; !(await start(place, binaries, folder, settings)); attempt++) {
      if (attempt === START_ATTEMPTS) throw startFailed(place)
      settings = { ...settings, port: await portForRetry(settings.port) }
      updateServerSettings(place.dataDir, { postgres: settings })
    }
  }
  if (!place.disposable) await ensureRoles(settings, drillPassword)
  const url = place.disposable
    ? urlOf(settings, SUPERUSER, settings.password, 'postgres')
    : urlOf(settings, OWNER, settings.ownerPassword, OWNER)
  return {
    url,
    drillUrl: urlOf(settings, DRILLER, drillPassword, 'postgres'),
    stop: () => stopPrivatePostgres(place),
    revive: () => reviveServer(place, 'postgres', url, () => startPrivatePostgres(place, binaries)),
  }
}

/** SIGINT ends the sessions and writes everything out; SIGQUIT ends at once, and the next start recovers. */
export function stopPrivatePostgres(place: Pick<ServerPlace, 'dataDir' | 'disposable'>): Promise<void> {
  const hard: [NodeJS.Signals, number][] = [
    ['SIGQUIT', 5_000],
    ['SIGKILL', 5_000],
  ]
  return endRecordedServer(place.dataDir, 'postgres', place.disposable ? hard : [['SIGINT', 10_000], ...hard])
}

async function newSettings(): Promise<PostgresSettings> {
  return { password: newPassword(), ownerPassword: newPassword(), port: await freePort() }
}

/** Whether the recorded port is answered by the server that runs on our folder. */
async function adopt(place: ServerPlace, folder: string, settings: PostgresSettings): Promise<boolean> {
  if ((await dataDirectoryAt(settings)) !== realpathSync(folder)) return false
  const pid = Number(readFileSync(join(folder, 'postmaster.pid'), 'utf8').split('\n')[0])
  const mark = markProcess(pid)
  if (mark === null) return false
  recordServer(place, 'postgres', mark)
  place.log(`PostgreSQL still runs on port ${settings.port}: adopted`)
  return true
}

async function start(place: ServerPlace, binaries: PostgresBinaries, folder: string, settings: PostgresSettings) {
  const options = {
    port: settings.port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: 200,
    log_checkpoints: 'off',
    ...(place.disposable ? DISPOSABLE : {}),
  }
  const args = Object.entries(options).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const mark = await launch({
    command: join(binaries.folder, 'postgres'),
    args: ['-D', folder, ...args],
    user: place.user,
    logFile: logFileOf(place),
    record: (started) => recordServer(place, 'postgres', started),
    answers: async () => (await dataDirectoryAt(settings)) === realpathSync(folder),
  })
  return mark !== null
}

/** Where the server behind the port keeps its data; null when none answers, or not to our password. */
async function dataDirectoryAt(settings: PostgresSettings): Promise<string | null> {
  const connectionString = urlOf(settings, SUPERUSER, settings.password, 'postgres')
  const client = new Client({ connectionString, connectionTimeoutMillis: 5_000, query_timeout: 5_000 })
  client.on('error', () => undefined)
  try {
    await client.connect()
    const { rows } = await client.query<{ data_directory: string }>('SHOW data_directory')
    return rows[0]?.data_directory ?? null
  } catch {
    return null
  } finally {
    await client.end().catch(() => undefined)
  }
}

/** Coffer's roles and database are there. May run twice; finishes what a killed start left half-done. */
async function ensureRoles(settings: PostgresSettings, drillPassword: string): Promise<void> {
  const client = new Client({ connectionString: urlOf(settings, SUPERUSER, settings.password, 'postgres') })
  await client.connect()
  try {
    const owner = escapeIdentifier(OWNER)
    await ensureRole(client, OWNER, settings.ownerPassword)
    await ensureRole(client, DRILLER, drillPassword)
    const { rowCount: databases } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [OWNER])
    if (databases === 0) await client.query(`CREATE DATABASE ${owner} OWNER ${owner}`)
    await client.query(`REVOKE CONNECT ON DATABASE ${owner} FROM PUBLIC`)
  } finally {
    await client.end()
  }
}

/** A role may change its own password and settings, and so may all that is restored with it: at each start they are what they were. */
async function ensureRole(client: Client, name: string, password: string): Promise<void> {
  const role = escapeIdentifier(name)
  const { rowCount: roles } = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [name])
  if (roles === 0) await client.query(`CREATE ROLE ${role} LOGIN CREATEDB`)
  await client.query(`ALTER ROLE ${role} PASSWORD ${escapeLiteral(password)}`)
  await client.query(`ALTER ROLE ${role} RESET ALL`)
  const { rows } = await client.query<{ database: string }>(
    `SELECT d.datname AS database FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole JOIN pg_database d ON d.oid = s.setdatabase
      WHERE r.rolname = $1`,
    [name],
  )
  for (const { database } of rows)
    await client.query(`ALTER ROLE ${role} IN DATABASE ${escapeIdentifier(database)} RESET ALL`)
}

function urlOf(settings: PostgresSettings, user: string, password: string, database: string): string {
  return `postgres://${user}:${password}@127.0.0.1:${settings.port}/${database}`
}

function logFileOf(place: ServerPlace): string {
  return join(place.folder, 'postgres.log')
}

function startFailed(place: ServerPlace): CofferError {
  return new CofferError('CONFIG_INVALID', `the private PostgreSQL did not start: ${logTail(logFileOf(place))}`)
}

function passwordUnknown(place: ServerPlace, folder: string): CofferError {
  const file = join(place.dataDir, 'servers.json')
  return new CofferError('CONFIG_INVALID', `${folder} is there, but its password is not: bring back ${file}`)
}
