import { randomBytes } from 'node:crypto'
import { escapeIdentifier } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { DumpContents } from '../../shared/domain/manifest.ts'
import { parsePostgresUrl } from '../../shared/postgres/connection.ts'
import type { RestoreReport } from '../../shared/postgres/restore-into-scratch.ts'
import { builtInTypes, fingerprint, makeDatabaseZoo, RELATIONS } from '../support/database-zoo.ts'
import { createTestDatabase, type TestDatabase } from '../support/databases.ts'
import { dumpWhole } from '../support/dumps.ts'
import { clients, createDatabaseNamed, dumpAsText, query } from '../support/postgres.ts'
import { restoreInto } from '../support/restores.ts'
import { inPieces } from '../support/streams.ts'
import { ACCEPT_NO_INPUT, SAMPLES } from './type-samples.ts'

async function copyDatabase(from: string, to: string): Promise<{ contents: DumpContents; restored: RestoreReport }> {
  const { bytes, contents } = await dumpWhole(from)
  const connection = parsePostgresUrl(to)
  return {
    contents,
    restored: await restoreInto({ connection, clients, dump: inPieces(bytes, 10_000), expected: contents }),
  }
}

describe('a database with one of everything', () => {
  let source: TestDatabase
  let target: TestDatabase
  let contents: DumpContents
  let restored: RestoreReport

  beforeAll(async () => {
    source = await createTestDatabase()
    target = await createTestDatabase()
    await makeDatabaseZoo(source.url)
    ;({ contents, restored } = await copyDatabase(source.url, target.url))
  })
  afterAll(async () => {
    await source.drop()
    await target.drop()
  })

  test('equals itself after the restore, as SQL, with its sequences and large objects', async () => {
    const [before, after] = [
      await dumpAsText(parsePostgresUrl(source.url)),
      await dumpAsText(parsePostgresUrl(target.url)),
    ]
    expect(before).toContain('COPY "Shop".customers')
    expect(after).toBe(before)
  })

  test('has the same rows, sequence values and large objects, by hash', async () => {
    const before = await fingerprint(source.url)
    expect(before.length).toBe(20)
    expect(await fingerprint(target.url)).toEqual(before)
  })

  test('has for every table the exact rows that were counted in the stream', async () => {
    const counted = await countTables(source.url)
    expect(sorted(contents.tables)).toEqual(sorted(counted))
    expect(Object.fromEntries(contents.tables.map(({ name, rows }) => [name, rows]))).toMatchObject({
      hostile: 11,
      one_text: 5,
      no_columns: 3,
      no_rows: 0,
      animals: 2,
      cats: 1,
      orders_2024: 30,
      unlogged_rows: 5,
    })
    expect(contents.tables.map(({ name }) => name)).not.toContain('orders')
    expect(restored).toMatchObject({
      tables: counted.length,
      rows: counted.reduce((sum, { rows }) => sum + rows, 0),
      large_objects: 3,
    })
  })

  test('tells what a restore needs to know', () => {
    expect(contents).toMatchObject({ kind: 'postgresql', database: source.name, encoding: 'UTF8', large_objects: 3 })
    expect(contents.extensions.map(({ name }) => name)).toEqual(['hstore', 'pg_trgm', 'plpgsql'])
    expect(contents.toc_entries).toBeGreaterThan(90)
  })

  test('holds every built-in type whose values can be written at all', async () => {
    const types = await builtInTypes(source.url)
    expect(types.filter((type) => !(type in SAMPLES) && !ACCEPT_NO_INPUT.has(type))).toEqual([])
  })
})

describe('a database whose name looks like something else', () => {
  const NAMES = [
    'host=evil port=1 dbname=#',
    'postgres://x/#',
    '--file=#',
    `o'neil "and" \\ co #`,
    'new\nline #',
    'ünïcødé 😀 #',
    ' spaces # ',
    '%20#',
  ].map((name) => name.replace('#', randomBytes(4).toString('hex')))
  let previous: TestDatabase

  // From each into the next, so that every name is dumped and restored by.
  beforeAll(async () => {
    previous = await createTestDatabase()
    await query(previous.url, 'CREATE TABLE t AS SELECT 1 AS one')
  })
  afterAll(() => previous.drop())

  test.each([...NAMES, `ordinary_${randomBytes(4).toString('hex')}`])(
    '%j is dumped and restored by its literal name',
    async (name) => {
      const source = previous
      const target = await createDatabaseNamed(name)
      previous = target
      try {
        const { contents, restored } = await copyDatabase(source.url, target.url)
        expect(contents).toMatchObject({ database: source.name, tables: [{ schema: 'public', name: 't', rows: 1 }] })
        expect(restored.rows).toBe(1)
        expect(await query(target.url, 'SELECT one, current_database() AS name FROM t')).toEqual([{ one: 1, name }])
      } finally {
        await source.drop()
      }
    },
  )
})

test('table names in another encoding than UTF-8 read the same in the dump and on the server', async () => {
  const options = `ENCODING 'LATIN2' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'`
  const source = await createDatabaseNamed(`latin2_${randomBytes(4).toString('hex')}`, options)
  const target = await createDatabaseNamed(`latin2_${randomBytes(4).toString('hex')}`, options)
  try {
    await query(source.url, `CREATE TABLE "žluťoučký kůň" AS SELECT 'ř' AS letter`)
    const { contents } = await copyDatabase(source.url, target.url)
    expect(contents).toMatchObject({ encoding: 'LATIN2', tables: [{ name: 'žluťoučký kůň', rows: 1 }] })
    expect(await query(target.url, 'SELECT letter FROM "žluťoučký kůň"')).toEqual([{ letter: 'ř' }])
  } finally {
    await source.drop()
    await target.drop()
  }
})

test('the dump is dated in the second before its snapshot', async () => {
  const database = await createTestDatabase()
  try {
    const before = Date.now()
    const { takenAt } = await dumpWhole(database.url)
    expect(takenAt.getTime()).toBeGreaterThanOrEqual(before - 1000)
    expect(takenAt.getTime()).toBeLessThanOrEqual(Date.now())
  } finally {
    await database.drop()
  }
})

async function countTables(url: string): Promise<{ schema: string; name: string; rows: number }[]> {
  const relations = await query<{ schema: string; name: string; kind: string }>(url, RELATIONS)
  const tables = relations.filter(({ kind }) => kind === 'r')
  return Promise.all(
    tables.map(async ({ schema, name }) => {
      const from = `ONLY ${escapeIdentifier(schema)}.${escapeIdentifier(name)}`
      const [counted] = await query<{ rows: number }>(url, `SELECT count(*)::int AS rows FROM ${from}`)
      return { schema, name, rows: counted?.rows ?? -1 }
    }),
  )
}

function sorted(tables: { schema: string; name: string; rows: number }[]) {
  return tables.toSorted((a, b) => (`${a.schema}.${a.name}` < `${b.schema}.${b.name}` ? -1 : 1))
}
