import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CofferError } from '../../shared/errors.ts'
import { parsePostgresUrl, type PostgresConnection } from '../../shared/postgres/connection.ts'
import { restoreIntoScratch } from '../../shared/postgres/restore-into-scratch.ts'
import { createScratch, dropScratch, listScratches, scratchName } from '../../shared/postgres/scratch.ts'
import { fingerprint, makeDatabaseZoo } from '../support/database-zoo.ts'
import { createTestDatabase, type TestDatabase } from '../support/databases.ts'
import { dumpWhole, type WholeDump } from '../support/dumps.ts'
import { clients, dumpAsText, query, urlOfDatabase } from '../support/postgres.ts'
import { inPieces } from '../support/streams.ts'
import { until } from '../support/until.ts'

const LIKE = { encoding: 'UTF8', collate: 'C', ctype: 'C' }

let source: TestDatabase
let whole: WholeDump
let server: PostgresConnection
let name: string

beforeAll(async () => {
  source = await createTestDatabase()
  await makeDatabaseZoo(source.url)
  whole = await dumpWhole(source.url)
  server = parsePostgresUrl(source.url)
})
afterAll(() => source.drop())

function restore(changes: Partial<Parameters<typeof restoreIntoScratch>[0]> = {}) {
  name = scratchName('drill', randomUUID())
  const dump = inPieces(whole.bytes, 10_000)
  return restoreIntoScratch({ server, name, marker: 'a drill', clients, dump, expected: whole.contents, ...changes })
}

const failureOf = (promise: Promise<unknown>): Promise<CofferError> =>
  promise.then(
    () => expect.unreachable('it succeeded'),
    (error: unknown) => error as CofferError,
  )

describe('a restore into a scratch database', () => {
  test('gives one of everything back, by a role that may do nothing else, and compares rows and definitions', async () => {
    const report = await restore()
    try {
      expect(report).toMatchObject({
        tables: whole.contents.tables.length,
        large_objects: 3,
        compared: 'definitions',
        left_out: [],
      })
      expect(report.objects).toBeGreaterThan(60)
      const restored = await dumpAsText({ ...server, database: name })
      expect(restored.replaceAll(name, server.user)).toBe(await dumpAsText(server))
      expect(await fingerprint(urlOfDatabase(name))).toEqual(await fingerprint(source.url))
      expect(await query(source.url, `SELECT rolsuper FROM pg_roles WHERE rolname = '${name}'`)).toEqual([
        { rolsuper: false },
      ])
    } finally {
      await dropScratch(server, name, 'a drill')
    }
    expect(await query(source.url, `SELECT FROM pg_roles WHERE rolname = '${name}'`)).toEqual([])
    expect((await listScratches(server)).map((scratch) => scratch.name)).not.toContain(name)
  })
})

describe('a scratch database', () => {
  test('is made again in the place of what an earlier attempt left, sessions in it or not, and dropped twice', async () => {
    name = scratchName('restore', randomUUID())
    await createScratch(server, { name, marker: 'mine', like: LIKE })
    await query(urlOfDatabase(name), 'CREATE TABLE left_behind ()')
    const sleeper = query(urlOfDatabase(name), 'SELECT pg_sleep(600)').catch((error: unknown) => error)
    const sleeping = `SELECT FROM pg_stat_activity WHERE datname = '${name}' AND query ~ '^SELECT pg_sleep'`
    await until(async () => (await query(source.url, sleeping)).length > 0)
    await createScratch(server, { name, marker: 'mine', like: LIKE })
    expect(await sleeper).toMatchObject({ message: expect.stringMatching(/terminat/) as string })
    expect(await query(urlOfDatabase(name), `SELECT FROM pg_class WHERE relname = 'left_behind'`)).toEqual([])
    expect(await listScratches(server)).toContainEqual({ name, marker: 'mine' })
    expect(await failureOf(dropScratch(server, name, 'another'))).toMatchObject({ code: 'CONFLICT' })
    await dropScratch(server, name, 'mine')
    await dropScratch(server, name, 'mine')
    expect((await listScratches(server)).map((scratch) => scratch.name)).not.toContain(name)
  })

  test('takes the locale of the server where it has not that of the dump', async () => {
    name = scratchName('drill', randomUUID())
    await createScratch(server, {
      name,
      marker: 'm',
      like: { encoding: 'UTF8', collate: 'xx_XX.utf8', ctype: 'xx_XX.utf8' },
    })
    await createScratch(server, {
      name,
      marker: 'm',
      like: { encoding: 'LATIN2', collate: 'en_US.utf8', ctype: 'en_US.utf8' },
    })
    expect(await query(urlOfDatabase(name), 'SHOW server_encoding')).toEqual([{ server_encoding: 'LATIN2' }])
    await dropScratch(server, name, 'm')
  })
})
