import { randomBytes } from 'node:crypto'
import { escapeIdentifier } from 'pg'
import { expect, test } from 'vitest'
import type { DumpContents } from '../../shared/domain/manifest.ts'
import { databaseRestorer } from '../../workers/restore/restore-database.ts'
import { storeDump } from '../support/database-parts.ts'
import { onTestServer } from '../support/databases.ts'
import { dumpWhole } from '../support/dumps.ts'
import { createDatabaseNamed, query, urlOfDatabase } from '../support/postgres.ts'

const LETTERS = [`CREATE TABLE letters (letter text)`, `INSERT INTO letters VALUES ('b'), ('A'), ('a'), ('B')`]
const BY_CODE = 'ABab'
const BY_LANGUAGE = 'aAbB'

/** Restores a dump of a database over that itself, with another locale in its manifest, and tells how it sorts then. */
async function restored(made: string, manifest: Partial<DumpContents> = {}) {
  const name = `locale_${randomBytes(4).toString('hex')}`
  await onTestServer(`CREATE ROLE ${name} LOGIN CREATEDB PASSWORD 'x'`)
  const database = await createDatabaseNamed(name, `OWNER ${escapeIdentifier(name)} TEMPLATE template0 ${made}`)
  try {
    const url = urlOfDatabase(name, { user: name, password: 'x' })
    await query(url, ...LETTERS)
    const whole = await dumpWhole(url)
    const part = (await storeDump({ ...whole, contents: { ...whole.contents, ...manifest } })).into(url)
    const preflight = await databaseRestorer.preflight(part)
    expect(preflight).toMatchObject({ findings: [], keepsOldState: true })
    const report = await databaseRestorer.restore(part, preflight)
    expect(report['left_out']).toEqual(preflight.leftOut)
    await databaseRestorer.confirm(part)
    const [found] = await query(
      url,
      `SELECT datcollate AS collate, (SELECT string_agg(letter, '' ORDER BY letter) FROM letters) AS sorted
         FROM pg_database WHERE datname = current_database()`,
    )
    return { ...found, leftOut: preflight.leftOut }
  } finally {
    await database.drop()
    await onTestServer(`DROP ROLE ${name}`)
  }
}

const ICU = `LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'`
const UNKNOWN = { collate: 'xx_XX.utf8', ctype: 'xx_XX.utf8' }

test('a database that sorts by ICU still does after a swap, and says so where the dump was of another', async () => {
  expect(await restored(ICU)).toEqual({ collate: 'C', sorted: BY_LANGUAGE, leftOut: [] })
  expect(await restored(ICU, { collate: 'C.UTF-8' })).toEqual({
    collate: 'C',
    sorted: BY_LANGUAGE,
    leftOut: ['the locale C.UTF-8 of the dump: the database sorts by en-US of ICU instead'],
  })
})

test('a locale that the server has not is named, and the database keeps its own, not that of the server', async () => {
  const own = `LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'`
  expect(await restored(own, UNKNOWN)).toEqual({
    collate: 'C',
    sorted: BY_CODE,
    leftOut: ['the locale xx_XX.utf8 of the dump: the database sorts by C with letters of C.UTF-8 instead'],
  })
  expect(await restored(own, { collate: '', ctype: '' })).toEqual({ collate: 'C', sorted: BY_CODE, leftOut: [] })
})

test('a database takes the locale of the dump, in whatever spelling', async () => {
  const dumped = { collate: 'C.utf8', ctype: 'C.utf8' }
  expect(await restored(`LC_COLLATE 'C' LC_CTYPE 'C'`, dumped)).toMatchObject({ collate: 'C.utf8', leftOut: [] })
})
