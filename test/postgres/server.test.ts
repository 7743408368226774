import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parsePostgresUrl, type PostgresConnection } from '../../shared/postgres/connection.ts'
import { inspectServer } from '../../shared/postgres/server.ts'
import { createTestDatabase, onTestServer, type TestDatabase } from '../support/databases.ts'
import { query } from '../support/postgres.ts'

const CANARY = `canary-${randomBytes(8).toString('hex')}`

let database: TestDatabase
let connection: PostgresConnection

beforeAll(async () => {
  database = await createTestDatabase()
  connection = parsePostgresUrl(database.url)
})
afterAll(() => database.drop())

function failure(code: string, message: RegExp) {
  return expect.objectContaining({ code, message: expect.stringMatching(message) as string }) as Error
}

describe('inspecting a server', () => {
  test('tells its version, the locale and size of the database, and its extensions with their schemas', async () => {
    await query(database.url, 'CREATE SCHEMA tools', 'CREATE EXTENSION hstore SCHEMA tools')
    try {
      const [server] = await query<{ num: string }>(database.url, `SELECT current_setting('server_version_num') AS num`)
      const info = await inspectServer(connection)
      expect(info).toMatchObject({ encoding: 'UTF8', isEmpty: false })
      expect(info.versionNumber).toBe(Number(server?.num))
      expect(info.major).toBe(Math.floor(Number(server?.num) / 10_000))
      expect(info.sizeBytes).toBeGreaterThan(1_000_000)
      expect(info.extensions).toContainEqual(expect.objectContaining({ name: 'hstore', schema: 'tools' }))
    } finally {
      await query(database.url, 'DROP SCHEMA tools CASCADE')
    }
  })

  test('finds a database empty that is fresh, also with extensions', async () => {
    expect((await inspectServer(connection)).isEmpty).toBe(true)
    await query(database.url, 'CREATE EXTENSION hstore', 'CREATE EXTENSION pg_trgm', 'CREATE EXTENSION cube')
    expect((await inspectServer(connection)).isEmpty).toBe(true)
  })

  test.each([
    ['CREATE TABLE x ()', 'DROP TABLE x'],
    ['CREATE VIEW x AS SELECT 1', 'DROP VIEW x'],
    ['CREATE SEQUENCE x', 'DROP SEQUENCE x'],
    ['CREATE SCHEMA x', 'DROP SCHEMA x'],
    [`CREATE TYPE x AS ENUM ('a')`, 'DROP TYPE x'],
    ['CREATE TYPE x AS (a int)', 'DROP TYPE x'],
    ['CREATE DOMAIN x AS int', 'DROP DOMAIN x'],
    ['CREATE TYPE x AS RANGE (subtype = text)', 'DROP TYPE x'],
    ['CREATE TYPE x', 'DROP TYPE x'],
    ['CREATE FUNCTION x() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$', 'DROP FUNCTION x'],
    ['CREATE OPERATOR === (leftarg = text, rightarg = text, function = texteq)', 'DROP OPERATOR === (text, text)'],
    [`CREATE COLLATION x (locale = 'C')`, 'DROP COLLATION x'],
    ['CREATE TEXT SEARCH CONFIGURATION x (COPY = simple)', 'DROP TEXT SEARCH CONFIGURATION x'],
    ['CREATE PUBLICATION x', 'DROP PUBLICATION x'],
    ['CREATE FOREIGN DATA WRAPPER x', 'DROP FOREIGN DATA WRAPPER x'],
    ['CREATE CAST (int AS hstore) WITH INOUT', 'DROP CAST (int AS hstore)'],
    ['SELECT lo_create(77)', 'SELECT lo_unlink(77)'],
  ])('finds a database that is not empty after %s', async (create, drop) => {
    await query(database.url, create)
    try {
      expect((await inspectServer(connection)).isEmpty).toBe(false)
    } finally {
      await query(database.url, drop)
    }
  })
})

describe('a connection that fails', () => {
  test('by a wrong password is named so, and the password is not shown', async () => {
    await expect(inspectServer({ ...connection, password: CANARY })).rejects.toThrow(
      failure(
        'SOURCE_AUTH_FAILED',
        new RegExp(`^postgres://${connection.user}@127.0.0.1:${connection.port}/${database.name}: `),
      ),
    )
    await expect(inspectServer({ ...connection, password: CANARY })).rejects.not.toThrow(CANARY)
  })

  test('by a missing password or an unknown role is an authentication failure', async () => {
    await expect(inspectServer({ ...connection, password: '' })).rejects.toThrow(failure('SOURCE_AUTH_FAILED', /@/))
    await expect(inspectServer({ ...connection, user: 'nobody knows' })).rejects.toThrow(
      failure('SOURCE_AUTH_FAILED', /nobody knows@/),
    )
  })

  test('by an unknown database names it', async () => {
    await expect(inspectServer({ ...connection, database: 'no such "db"' })).rejects.toThrow(
      failure('SOURCE_DATABASE_UNKNOWN', /no such "db"/),
    )
  })

  test('by a refused port, an unknown host or missing TLS is unreachable', async () => {
    await expect(inspectServer({ ...connection, port: await closedPort() })).rejects.toThrow(
      failure('SOURCE_UNREACHABLE', /ECONNREFUSED/),
    )
    await expect(inspectServer({ ...connection, host: 'no-such-host.invalid' })).rejects.toThrow(
      failure('SOURCE_UNREACHABLE', /no-such-host\.invalid/),
    )
    await expect(inspectServer({ ...connection, sslmode: 'require' })).rejects.toThrow(
      failure('SOURCE_UNREACHABLE', /does not support SSL/),
    )
  })

  test('by a server that never answers is unreachable after the given time', async () => {
    await using silent = await silentServer()
    await expect(inspectServer({ ...connection, port: silent.port }, { connectTimeoutMs: 100 })).rejects.toThrow(
      failure('SOURCE_UNREACHABLE', /timeout/),
    )
  })

  test('by an abort throws the reason of the abort', async () => {
    await using silent = await silentServer()
    const abort = new AbortController()
    const options = { signal: abort.signal, connectTimeoutMs: 60_000 }
    const inspecting = inspectServer({ ...connection, port: silent.port }, options)
    await silent.connected
    abort.abort(new Error('no longer wanted'))
    await expect(inspecting).rejects.toThrow('no longer wanted')
  }, 20_000)

  test('for want of the right to connect is a denied permission', async () => {
    const role = `role_${randomBytes(4).toString('hex')}`
    await onTestServer(`CREATE ROLE ${role} LOGIN PASSWORD '${CANARY}'`)
    await onTestServer(`REVOKE CONNECT ON DATABASE ${database.name} FROM PUBLIC`)
    try {
      await expect(inspectServer({ ...connection, user: role, password: CANARY })).rejects.toThrow(
        failure('SOURCE_PERMISSION_DENIED', /permission denied for database/),
      )
    } finally {
      await onTestServer(`DROP ROLE ${role}`)
    }
  })
})

async function silentServer() {
  const server = createServer().listen(0, '127.0.0.1')
  const sockets = new Set<{ destroy(): void }>()
  server.on('connection', (socket) => sockets.add(socket.on('error', () => undefined)))
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    connected: once(server, 'connection'),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function closedPort(): Promise<number> {
  await using server = await silentServer()
  return server.port
}
