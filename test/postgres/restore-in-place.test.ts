import { randomBytes } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { escapeIdentifier } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { CofferError } from '../../shared/errors.ts'
import { describeConnection, parsePostgresUrl, type PostgresConnection } from '../../shared/postgres/connection.ts'
import { inspectServer } from '../../shared/postgres/server.ts'
import { runningChildren } from '../support/child-processes.ts'
import { createTestDatabase, onTestServer, type TestDatabase } from '../support/databases.ts'
import { dumpWhole, type WholeDump } from '../support/dumps.ts'
import { clients, createDatabaseNamed, query, urlOfDatabase } from '../support/postgres.ts'
import { restoreInto } from '../support/restores.ts'
import { inPieces } from '../support/streams.ts'

const PIECE = 10_000

let source: TestDatabase
let target: TestDatabase
let whole: WholeDump
let connection: PostgresConnection

beforeAll(async () => {
  source = await createTestDatabase()
  await query(
    source.url,
    `CREATE TABLE a AS SELECT i, md5(i::text) FROM generate_series(1, 5000) i;
     CREATE TABLE b AS SELECT i FROM generate_series(1, 7) i;
     SELECT lo_create(500)`,
  )
  whole = await dumpWhole(source.url)
})
afterAll(() => source.drop())
beforeEach(async () => {
  target = await createTestDatabase()
  connection = parsePostgresUrl(target.url)
})
afterEach(() => target.drop())

function restore(dump: AsyncIterable<Buffer>, changes: Partial<Parameters<typeof restoreInto>[0]> = {}) {
  return restoreInto({ connection, clients, dump, expected: whole.contents, ...changes })
}

async function failureOf(promise: Promise<unknown>): Promise<CofferError> {
  const error = await promise.then(
    () => new Error('it succeeded'),
    (thrown: unknown) => thrown,
  )
  if (error instanceof CofferError) return error
  throw error
}

const isEmpty = async () => (await inspectServer(connection)).isEmpty

async function* failingAtTheEnd(bytes: Buffer, error: Error): AsyncGenerator<Buffer> {
  yield* inPieces(bytes, PIECE)
  throw error
}

describe('a restore in place, into an empty database', () => {
  test('gives back everything and counts it', async () => {
    expect(await restore(inPieces(whole.bytes, PIECE))).toMatchObject({
      tables: 2,
      rows: 5007,
      large_objects: 1,
      compared: 'definitions',
    })
    expect(runningChildren('pg_restore')).toEqual([])
  })

  test('commits nothing while the end of its source is not proven, though every byte was given', async () => {
    const steps: unknown[] = []
    const listen = (message: unknown) => steps.push(message)
    subscribe('coffer:step', listen)
    try {
      const dump = (async function* () {
        yield* inPieces(whole.bytes, PIECE)
        expect(await isEmpty()).toBe(true)
        expect(steps).toEqual([])
      })()
      expect(await restore(dump)).toMatchObject({ rows: 5007 })
    } finally {
      unsubscribe('coffer:step', listen)
    }
    expect(steps).toEqual([
      { step: 'before-restore-commit', target: describeConnection(connection) },
      { step: 'restore-committed', restore: expect.any(String) as string },
    ])
  })

  test('whose source fails after its last byte commits nothing, and throws the error of the source', async () => {
    const corrupt = new CofferError('ARTIFACT_CORRUPT', 'the digest differs')
    await expect(restore(failingAtTheEnd(whole.bytes, corrupt))).rejects.toBe(corrupt)
    expect(await isEmpty()).toBe(true)
    expect(runningChildren('pg_restore')).toEqual([])
  })

  test('of a dump that is cut short commits nothing and names the target', async () => {
    const error = await failureOf(restore(inPieces(whole.bytes.subarray(0, -1), PIECE)))
    expect(error.code).toBe('RESTORE_FAILED')
    expect(error.message).toContain(target.name)
    expect(await isEmpty()).toBe(true)
  })

  test('of a dump with a broken row commits nothing', async () => {
    const bytes = Buffer.from(whole.bytes)
    bytes.write('x', bytes.indexOf('4999\t'))
    const error = await failureOf(restore(inPieces(bytes, PIECE)))
    expect(error).toMatchObject({ code: 'RESTORE_FAILED', details: { exit_code: 1 } })
    expect(error.message).toMatch(/invalid input syntax for type integer/)
    expect(await isEmpty()).toBe(true)
  })

  test('that is aborted commits nothing and leaves no program', async () => {
    const abort = new AbortController()
    const dump = (async function* () {
      yield* inPieces(whole.bytes, PIECE)
      abort.abort(new Error('cancelled'))
    })()
    await expect(restore(dump, { signal: abort.signal })).rejects.toThrow('cancelled')
    expect(await isEmpty()).toBe(true)
    expect(runningChildren('pg_restore')).toEqual([])
  })

  test('that differs from what was recorded lists every difference', async () => {
    const expected = {
      ...whole.contents,
      large_objects: 2,
      tables: whole.contents.tables.map((table) => ({ ...table, rows: table.rows + 1 })),
    }
    const error = await failureOf(restore(inPieces(whole.bytes, PIECE), { expected }))
    expect(error.code).toBe('RESTORE_MISMATCH')
    expect(error.details['differences']).toEqual([
      '"public"."a" has 5000 rows, not 5001',
      '"public"."b" has 7 rows, not 8',
      'it has 1 large objects, not 2',
    ])
  })
})

describe('a restore as a role that is no superuser', () => {
  const user = `owner_${randomBytes(4).toString('hex')}`
  const password = randomBytes(12).toString('hex')
  let owned: TestDatabase

  beforeAll(() => onTestServer(`CREATE ROLE ${user} LOGIN PASSWORD '${password}'`))
  afterAll(() => onTestServer(`DROP ROLE ${user}`))
  beforeEach(async () => {
    owned = await createDatabaseNamed(`owned ${randomBytes(4).toString('hex')}`, `OWNER ${escapeIdentifier(user)}`)
    connection = parsePostgresUrl(urlOfDatabase(owned.name, { user, password }))
  })
  afterEach(() => owned.drop())

  test('works in a database of its own, with a trusted extension, and owns all of it', async () => {
    await query(source.url, 'CREATE EXTENSION hstore')
    try {
      const { bytes, contents } = await dumpWhole(source.url)
      expect(await restore(inPieces(bytes, PIECE), { expected: contents })).toMatchObject({ rows: 5007 })
      expect(await query(owned.url, `SELECT tableowner FROM pg_tables WHERE tablename = 'a'`)).toEqual([
        { tableowner: user },
      ])
    } finally {
      await query(source.url, 'DROP EXTENSION hstore')
    }
  })
})
