import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { Client, escapeIdentifier, escapeLiteral } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CofferError } from '../../shared/errors.ts'
import { parsePostgresUrl, type PostgresConnection } from '../../shared/postgres/connection.ts'
import { openDump, type OpenDump } from '../../shared/postgres/dump.ts'
import { runningChildren } from '../support/child-processes.ts'
import { createTestDatabase, onTestServer, type TestDatabase } from '../support/databases.ts'
import { clients, query, urlOfDatabase } from '../support/postgres.ts'

/** Far more than the buffers between the server and us hold, so that pg_dump cannot be done before we read on. */
const ROWS = 200_000

let database: TestDatabase
let connection: PostgresConnection

beforeAll(async () => {
  database = await createTestDatabase()
  connection = parsePostgresUrl(database.url)
  await query(database.url, `CREATE TABLE big AS SELECT i, repeat(md5(i::text), 5) FROM generate_series(1, ${ROWS}) i`)
})
afterAll(() => database.drop())

/** Reads the dump to its end and calls `atFirstByte` once. */
async function readDump(dump: OpenDump, atFirstByte: () => unknown = () => undefined): Promise<number> {
  let bytes = 0
  for await (const chunk of dump.source) {
    if (bytes === 0) await atFirstByte()
    bytes += chunk.length
    dump.inspect(chunk)
  }
  return bytes
}

async function failureOf(promise: Promise<unknown>): Promise<CofferError> {
  const error = await promise.then(
    () => new Error('it succeeded'),
    (thrown: unknown) => thrown,
  )
  if (error instanceof CofferError) return error
  throw error
}

describe('a dump', () => {
  test('streams the database, tells its size beforehand and its contents afterwards', async () => {
    const dump = await openDump({ connection, clients })
    expect(dump.estimatedBytes).toBeGreaterThan(30_000_000)
    expect(() => dump.contents()).toThrow(/ends inside its header/)
    expect(await readDump(dump)).toBeGreaterThan(30_000_000)
    expect(dump.contents()).toMatchObject({ tables: [{ schema: 'public', name: 'big', rows: ROWS }], large_objects: 0 })
    expect(runningChildren('pg_dump')).toEqual([])
  })

  test('whose backend is killed while bytes flow fails, and has no contents', async () => {
    const dump = await openDump({ connection, clients })
    const error = await failureOf(readDump(dump, () => onTestServer(killBackends(database.name))))
    expect(error.code).toBe('DUMP_FAILED')
    expect(error.message).toMatch(/^pg_dump on postgres:\/\/.* exited with 1: .*(terminat|closed the connection)/s)
    expect(error.retry).toBe('backoff')
    expect(() => dump.contents()).toThrow(/ends inside the data of TABLE DATA public\.big/)
  })

  test('whose program is killed says by which signal', async () => {
    const dump = await openDump({ connection, clients })
    const error = await failureOf(
      readDump(dump, () => runningChildren('pg_dump').map(({ pid }) => process.kill(pid, 'SIGKILL'))),
    )
    expect(error).toMatchObject({ code: 'DUMP_FAILED', details: { exit_signal: 'SIGKILL' } })
    expect(error.message).toContain('was killed by SIGKILL')
  })

  test('that is aborted throws the reason and leaves no program', async () => {
    const abort = new AbortController()
    const dump = await openDump({ connection, clients, signal: abort.signal })
    await expect(readDump(dump, () => abort.abort(new Error('cancelled')))).rejects.toThrow('cancelled')
    expect(runningChildren('pg_dump')).toEqual([])
  })

  test('whose reader stops early leaves no program', async () => {
    const dump = await openDump({ connection, clients })
    for await (const chunk of dump.source) {
      expect(chunk.length).toBeGreaterThan(0)
      break
    }
    expect(runningChildren('pg_dump')).toEqual([])
  })

  test('that waits for a lock gives up and says so', async () => {
    const locker = new Client({ connectionString: database.url })
    await locker.connect()
    try {
      await locker.query('BEGIN')
      await locker.query('LOCK TABLE big IN ACCESS EXCLUSIVE MODE')
      const dump = await openDump({ connection, clients, lockWaitMs: 100 })
      expect(await failureOf(readDump(dump))).toMatchObject({ code: 'SOURCE_LOCKED', retry: 'backoff' })
    } finally {
      await locker.end()
    }
  })

  test('of an unknown database, or with no client at all, fails before it starts', async () => {
    const unknown = openDump({ connection: { ...connection, database: 'no_such_db' }, clients })
    expect(await failureOf(unknown)).toMatchObject({ code: 'SOURCE_DATABASE_UNKNOWN', retry: 'never' })
    expect(await failureOf(openDump({ connection, clients: [] }))).toMatchObject({ code: 'CLIENT_MISSING' })
  })
})

describe('a dump as a role of its own, whose password holds every special character', () => {
  const password = `canary:${randomBytes(6).toString('hex')}\\:\\\\'"# ünï*`
  const user = `role "${randomBytes(4).toString('hex')}" \\ :`
  let own: PostgresConnection

  beforeAll(async () => {
    await onTestServer(`CREATE ROLE ${escapeIdentifier(user)} LOGIN PASSWORD ${escapeLiteral(password)}`)
    own = parsePostgresUrl(urlOfDatabase(database.name, { user, password }))
  })
  afterAll(async () => {
    await query(database.url, `DROP OWNED BY ${escapeIdentifier(user)}`)
    await onTestServer(`DROP ROLE ${escapeIdentifier(user)}`)
  })

  test('is denied where the role may not read, and names the table', async () => {
    const error = await failureOf(readDump(await openDump({ connection: own, clients })))
    expect(error).toMatchObject({ code: 'SOURCE_PERMISSION_DENIED', retry: 'never' })
    expect(error.message).toContain('big')
    expect(error.message).not.toContain(password)
  })

  test('works where it may, and shows the password to nobody: no argument, environment, file name', async () => {
    await query(database.url, `GRANT SELECT ON big TO ${escapeIdentifier(user)}`)
    const dump = await openDump({ connection: own, clients })
    const seen: string[] = []
    await readDump(dump, () => {
      const [program] = runningChildren('pg_dump')
      if (!program) throw new Error('pg_dump does not run')
      seen.push(program.visible)
      const passwordFile = program.environment['PGPASSFILE'] ?? ''
      expect(readFileSync(passwordFile, 'utf8')).toContain('canary')
      expect(statSync(passwordFile).mode & 0o777).toBe(0o600)
      expect(linkOf(passwordFile)).toMatch(/ \(deleted\)$/)
    })
    expect(dump.contents().tables).toHaveLength(1)
    expect(seen.join()).toContain('PGDATABASE')
    expect(seen.join()).not.toContain('canary')
  })

  test('leaves no open password file behind', async () => {
    await readDump(await openDump({ connection: own, clients }))
    const open = readdirSync('/proc/self/fd').filter((fd) => linkOf(`/proc/self/fd/${fd}`).includes('/coffer-'))
    expect(open).toEqual([])
  })
})

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

function killBackends(name: string): string {
  return `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}' AND application_name = 'pg_dump'`
}
