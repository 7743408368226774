import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ensureServices, type ServiceRequest, type Services } from '../../scripts/services/ensure-services.ts'
import { isRunning } from '../../scripts/services/processes.ts'
import { readRunRecord, readServerSettings } from '../../scripts/services/run-record.ts'

let folder: string
let started: Services[]
let said: string[]

function openFolder(): void {
  folder = mkdtempSync(join(tmpdir(), 'coffer-services-'))
  chmodSync(folder, 0o711)
  started = []
  said = []
}

async function closeFolder(): Promise<void> {
  for (const services of started) await services.stop()
  rmSync(folder, { recursive: true, force: true })
}

async function ensure(mode: 'up' | 'test', change: Partial<ServiceRequest> = {}): Promise<Services> {
  const env = { PATH: process.env.PATH }
  const services = await ensureServices({ mode, dataDir: folder, env, log: (line) => said.push(line), ...change })
  started.push(services)
  return services
}

async function query<Row extends object>(url: string, sql: string): Promise<Row[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Row>(sql)).rows
  } finally {
    await client.end()
  }
}

async function redisCommand(url: string, ...[name, ...args]: [string, ...string[]]): Promise<unknown> {
  const redis = new Redis(url)
  try {
    return await redis.call(name, ...args)
  } finally {
    redis.disconnect()
  }
}

function killAll(): void {
  for (const { pid } of Object.values(readRunRecord(folder).processes)) process.kill(pid, 'SIGKILL')
}

// One data folder for all: a start finds what the test before has left, running or stopped.
describe('private servers of up', () => {
  beforeAll(openFolder)
  afterAll(closeFolder)
  test('keep their data, address and passwords over a stop and a start', async () => {
    const first = await ensure('up')
    await query(first.databaseUrl, 'CREATE TABLE kept AS SELECT 1 AS value')
    await redisCommand(first.redisUrl, 'SET', 'bull:kept', 'yes')
    const marks = Object.values(readRunRecord(folder).processes)
    await first.stop()
    expect(marks.map(isRunning)).toEqual([false, false])

    const second = await ensure('up')
    expect([second.databaseUrl, second.redisUrl]).toEqual([first.databaseUrl, first.redisUrl])
    expect(await query(second.databaseUrl, 'SELECT value FROM kept')).toEqual([{ value: 1 }])
    expect(await redisCommand(second.redisUrl, 'GET', 'bull:kept')).toBe('yes')
  })

  test('are adopted when they still run, even when nothing of them was recorded', async () => {
    const first = await ensure('up')
    const { processes } = readRunRecord(folder)
    rmSync(join(folder, 'run.json'))
    said.length = 0
    const second = await ensure('up')
    expect(second).toMatchObject({ databaseUrl: first.databaseUrl, redisUrl: first.redisUrl })
    expect(readRunRecord(folder).processes).toEqual(processes)
    expect(said).toEqual([expect.stringMatching(/^PostgreSQL .*adopted$/), expect.stringMatching(/^Redis .*adopted$/)])
  })

  test('come back with every committed row after a SIGKILL of all of them', async () => {
    const first = await ensure('up')
    await query(first.databaseUrl, 'CREATE TABLE survivor AS SELECT 2 AS value')
    killAll()
    const second = await ensure('up')
    expect(await query(second.databaseUrl, 'SELECT value FROM survivor')).toEqual([{ value: 2 }])
  })

  test('are replaced when they hang', async () => {
    await ensure('up')
    const { redis } = readRunRecord(folder).processes
    process.kill(redis?.pid ?? 0, 'SIGSTOP')
    const second = await ensure('up')
    expect(redis && isRunning(redis)).toBe(false)
    expect(await redisCommand(second.redisUrl, 'PING')).toBe('PONG')
  })

  test('take another port when a stranger sits on theirs', async () => {
    const first = await ensure('up')
    await first.stop()
    const stranger = createServer((socket) => socket.destroy()).listen(
      readServerSettings(folder).redis?.port,
      '127.0.0.1',
    )
    await once(stranger, 'listening')
    const second = await ensure('up')
    stranger.close()
    expect(second.redisUrl).not.toBe(first.redisUrl)
    expect(await redisCommand(second.redisUrl, 'PING')).toBe('PONG')
  })

  test('run as a role without power, behind passwords that only their owner can read, on no socket file', async () => {
    const { databaseUrl, redisUrl } = await ensure('up')
    expect(await query(databaseUrl, `SELECT current_setting('is_superuser') AS super`)).toEqual([{ super: 'off' }])
    const { password: root, port } = readServerSettings(folder).postgres ?? { password: '', port: 0 }
    const asSuperuser = `postgres://postgres:${root}@127.0.0.1:${port}/postgres`
    expect(await query(asSuperuser, 'SHOW unix_socket_directories')).toEqual([{ unix_socket_directories: '' }])
    expect(await query(asSuperuser, 'SHOW listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }])
    await expect(query(databaseUrl.replace(/:[^:@]+@/, ':wrong@'), 'SELECT 1')).rejects.toThrow('password')
    expect(await redisCommand(redisUrl, 'CONFIG', 'GET', 'maxmemory-policy')).toEqual([
      'maxmemory-policy',
      'noeviction',
    ])
    expect(await redisCommand(redisUrl, 'CONFIG', 'GET', 'appendonly')).toEqual(['appendonly', 'yes'])
    for (const file of ['servers.json', 'run.json', 'redis/redis.conf']) {
      expect(statSync(join(folder, file)).mode & 0o077).toBe(0)
    }
    const { password } = readServerSettings(folder).redis ?? { password: '' }
    const commandLines = Object.values(readRunRecord(folder).processes).map(({ pid }) =>
      readFileSync(`/proc/${pid}/cmdline`, 'utf8'),
    )
    expect(commandLines.filter((line) => line.includes(password))).toEqual([])
  })
})

describe('the server for drills', () => {
  beforeEach(openFolder)
  afterEach(closeFolder)

  test('is the private one, by a role that makes databases, has no power, and can not enter the catalog', async () => {
    const { drillUrl = '', databaseUrl } = await ensure('up')
    const role = `SELECT rolsuper AS super, rolcreatedb AS creates, rolcreaterole AS roles FROM pg_roles WHERE rolname = current_user`
    expect(await query(drillUrl, role)).toEqual([{ super: false, creates: true, roles: false }])
    await query(drillUrl, 'CREATE DATABASE made_by_a_drill')
    await query(drillUrl, 'DROP DATABASE made_by_a_drill')
    const catalog = new URL(drillUrl)
    catalog.pathname = new URL(databaseUrl).pathname
    await expect(query(catalog.href, 'SELECT 1')).rejects.toThrow('permission denied for database')
  })

  test('opens again at the next start, whatever a drilled dump has made of its own role', async () => {
    const { drillUrl = '' } = await ensure('up')
    await query(
      drillUrl,
      `ALTER ROLE CURRENT_USER SET search_path = evil; ALTER ROLE CURRENT_USER IN DATABASE postgres SET search_path = evil;
       ALTER ROLE CURRENT_USER PASSWORD 'another'`,
    )
    await expect(query(drillUrl, 'SELECT 1')).rejects.toThrow('password')
    expect((await ensure('up')).drillUrl).toBe(drillUrl)
    expect(await query(drillUrl, 'SHOW search_path')).toEqual([{ search_path: '"$user", public' }])
  })
})

describe('the first start', () => {
  beforeEach(openFolder)
  afterEach(closeFolder)

  test('makes the cluster anew when an earlier one was killed while it made it', async () => {
    const unfinished = join(folder, 'postgres.unfinished')
    mkdirSync(unfinished)
    writeFileSync(join(unfinished, 'PG_VERSION'), '15')
    const { databaseUrl } = await ensure('up')
    expect(await query(databaseUrl, 'SELECT 1 AS value')).toEqual([{ value: 1 }])
    expect(existsSync(unfinished)).toBe(false)
  })

  test('says so when the cluster is there and its password is not', async () => {
    mkdirSync(join(folder, 'postgres'))
    writeFileSync(join(folder, 'postgres/PG_VERSION'), '15')
    await expect(ensure('up')).rejects.toThrow(`${join(folder, 'postgres')} is there, but its password is not`)
  })
})

describe('test servers', () => {
  beforeEach(openFolder)
  afterEach(closeFolder)
  const applicationServers = { DATABASE_URL: 'postgres://127.0.0.1:1/live', REDIS_URL: 'redis://127.0.0.1:1' }
  const upServers = { COFFER_DATABASE_URL: 'postgres://127.0.0.1:1/coffer', COFFER_REDIS_URL: 'redis://127.0.0.1:1' }

  test('are never those of an application or of up, and leave nothing', async () => {
    const env = { PATH: process.env.PATH, ...applicationServers, ...upServers }
    const services = await ensure('test', { env })
    const [run = ''] = readdirSync(folder)
    const marks = Object.values(readRunRecord(join(folder, run)).processes)
    expect(marks.map(isRunning)).toEqual([true, true])
    expect(await query(services.databaseUrl, `SELECT current_setting('is_superuser') AS super`)).toEqual([
      { super: 'on' },
    ])
    await services.stop()
    expect(marks.map(isRunning)).toEqual([false, false])
    expect(readdirSync(folder)).toEqual([])
  })

  test('that were given are used, and nothing is left beside them', async () => {
    const { COFFER_TEST_DATABASE_URL, COFFER_TEST_REDIS_URL } = process.env
    const services = await ensure('test', { env: { COFFER_TEST_DATABASE_URL, COFFER_TEST_REDIS_URL } })
    expect(services).toMatchObject({ databaseUrl: COFFER_TEST_DATABASE_URL, redisUrl: COFFER_TEST_REDIS_URL })
    expect(readdirSync(folder)).toEqual([])
  })

  test('of a run that was killed are ended and cleared away by the next, those of a live run are not', async () => {
    const mine = await ensure('test')
    const module = join(import.meta.dirname, '../../scripts/services/ensure-services.ts')
    const source = `const { ensureServices } = await import(${JSON.stringify(module)})
      await ensureServices({ mode: 'test', dataDir: ${JSON.stringify(folder)}, env: process.env, log: () => undefined })
      console.log('up'); setInterval(() => undefined, 1000)`
    const env = { PATH: process.env.PATH }
    const other = spawn(process.execPath, ['-e', source], { env, stdio: ['ignore', 'pipe', 'inherit'] })
    await once(other.stdout, 'data')
    const otherRun = readdirSync(folder).find((name) => name.startsWith(`${other.pid}@`)) ?? ''
    const orphans = Object.values(readRunRecord(join(folder, otherRun)).processes)
    other.kill('SIGKILL')
    await once(other, 'exit')
    expect(orphans.map(isRunning)).toEqual([true, true])

    const { clearDeadRuns } = await import('../../scripts/services/server-place.ts')
    await clearDeadRuns(folder)
    expect(orphans.map(isRunning)).toEqual([false, false])
    expect(existsSync(join(folder, otherRun))).toBe(false)
    expect(await query(mine.databaseUrl, 'SELECT 1 AS value')).toEqual([{ value: 1 }])
  })
})
