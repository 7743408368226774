import { spawn, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { databaseRestorer } from '../../workers/restore/restore-database.ts'
import type { Step } from '../../shared/steps.ts'
import {
  createOwnedDatabase,
  stateOf,
  storeDump,
  type OwnedDatabase,
  type StoredDump,
} from '../support/database-parts.ts'
import { createTestDatabase, type TestDatabase } from '../support/databases.ts'
import { dumpWhole } from '../support/dumps.ts'
import { query } from '../support/postgres.ts'
import type { RestoreOrder } from '../support/restore-database-process.ts'
import { until } from '../support/until.ts'

const SUPPORT = join(import.meta.dirname, '../support')
const SLOW = `
  CREATE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM pg_sleep(0.05); RETURN $1; END';
  CREATE TABLE item (id serial, n int);
  INSERT INTO item (n) SELECT n FROM generate_series(1, 20) n`
const LIVING = `CREATE TABLE item (id serial PRIMARY KEY, n int); INSERT INTO item (n) VALUES (7), (8);
  CREATE TABLE later (item int REFERENCES item); INSERT INTO later VALUES (1)`

let folder: string
let source: TestDatabase
let dump: StoredDump
let target: OwnedDatabase

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coffer-crash-'))
  source = await createTestDatabase()
  await query(source.url, SLOW, 'CREATE INDEX by_slow ON item (slow(n))')
  dump = await storeDump(await dumpWhole(source.url))
  await writeFile(join(folder, 'dump'), dump.bytes)
})
afterAll(async () => {
  await source.drop()
  await rm(folder, { recursive: true })
})
afterEach(() => target.drop())

async function start(order: Omit<RestoreOrder, 'url' | 'dump' | 'contents'>, killAt: Step | ''): Promise<ChildProcess> {
  const file = join(folder, randomUUID())
  const whole: RestoreOrder = { ...order, url: target.url, dump: join(folder, 'dump'), contents: dump.contents }
  await writeFile(file, JSON.stringify(whole))
  const args = ['--import', join(SUPPORT, 'kill-at.ts'), join(SUPPORT, 'restore-database-process.ts'), file]
  return spawn(process.execPath, args, { env: { ...process.env, COFFER_TEST_KILL_AT: killAt }, stdio: 'ignore' })
}

async function killedAt(step: Step, order: Omit<RestoreOrder, 'url' | 'dump' | 'contents'>): Promise<void> {
  const [, signal] = (await once(await start(order, step), 'exit')) as [number | null, string | null]
  expect(signal).toBe('SIGKILL')
}

const normalized = (state: { sql: string; rows: unknown[] }) => ({
  rows: state.rows,
  sql: state.sql.replaceAll(/Owner: \S+|OWNER TO \S+;/g, 'owner'),
})

/** Databases and roles that carry the id of a restore. */
const leftovers = (id: string) =>
  query(
    source.url,
    `SELECT datname FROM pg_database WHERE datname ~ '${id.replaceAll('-', '')}'
      UNION ALL SELECT rolname FROM pg_roles WHERE rolname ~ '${id.replaceAll('-', '')}'`,
  )

/** Recovers twice, as after a second crash, and restores where the first try had not come through. */
async function recoverAndFinish(id: string, living: unknown, expected: 'as-before' | 'restored'): Promise<void> {
  const part = dump.into(target.url, { id })
  expect(await databaseRestorer.recover(part)).toBe(expected)
  expect(await databaseRestorer.recover(part)).toBe(expected)
  if (expected === 'as-before') {
    expect(await leftovers(id)).toEqual([])
    expect(await stateOf(target.url)).toEqual(living)
    await databaseRestorer.restore(part, await databaseRestorer.preflight(part))
  }
  await databaseRestorer.confirm(part)
  await databaseRestorer.forget(part, [id])
  expect(normalized(await stateOf(target.url))).toEqual(normalized(await stateOf(source.url)))
  expect(await leftovers(id)).toEqual([])
}

describe('F37 a restore by swap that is killed', () => {
  beforeEach(async () => {
    target = await createOwnedDatabase('CREATEDB')
    await query(target.url, LIVING)
  })

  test.each<[Step, 'as-before' | 'restored']>([
    ['restore-scratch-made', 'as-before'],
    ['restore-compared', 'as-before'],
    ['restore-carried', 'as-before'],
    ['restore-closed', 'as-before'],
    ['restore-swapped', 'restored'],
  ])('at %s is %s after its recovery, and the whole of it', async (step, expected) => {
    const [id, living] = [randomUUID(), await stateOf(target.url)]
    await killedAt(step, { action: 'restore', id })
    await recoverAndFinish(id, living, expected)
  })

  test.each<Step>(['restore-closed', 'restore-undone'])(
    'while it is undone, at %s, is undone by the next undo',
    async (step) => {
      const [id, living] = [randomUUID(), await stateOf(target.url)]
      const part = dump.into(target.url, { id })
      await databaseRestorer.restore(part, await databaseRestorer.preflight(part))
      await killedAt(step, { action: 'undo', id })
      await databaseRestorer.undo(part)
      expect(await stateOf(target.url)).toEqual(living)
      expect(await leftovers(id)).toEqual([])
    },
  )
})

describe('F37 a restore in place that is killed', () => {
  beforeEach(async () => {
    target = await createOwnedDatabase()
    await query(target.url, LIVING)
  })

  test.each<[Step, 'as-before' | 'restored']>([
    ['before-restore-commit', 'as-before'],
    ['restore-committed', 'restored'],
  ])('at %s is %s after its recovery, and the whole of it', async (step, expected) => {
    const [id, living] = [randomUUID(), await stateOf(target.url)]
    await killedAt(step, { action: 'restore', id })
    await recoverAndFinish(id, living, expected)
  })

  test('by a role that does not own the database is known by its mark until that is forgotten; no dump shows it', async () => {
    await query(target.url, `ALTER SCHEMA public OWNER TO ${target.user}`)
    await query(
      source.url,
      `ALTER DATABASE ${target.name} OWNER TO current_user`,
      `GRANT CREATE ON DATABASE ${target.name} TO ${target.user}`,
    )
    const id = randomUUID()
    const part = dump.into(target.url, { id })
    await databaseRestorer.restore(part, await databaseRestorer.preflight(part))
    await query(target.url, 'INSERT INTO item (n) VALUES (99)')

    for (let crash = 0; crash < 2; crash++) expect(await databaseRestorer.recover(part)).toBe('restored')
    const marks = `SELECT nspname FROM pg_namespace WHERE nspname LIKE 'coffer%'`
    expect(await query(target.url, marks)).toHaveLength(1)
    expect((await dumpWhole(target.url)).bytes.includes('coffer_restored_')).toBe(false)

    await databaseRestorer.forget(part, [randomUUID(), id])
    expect(await query(target.url, marks)).toEqual([])
    expect(await query(target.url, 'SELECT FROM item WHERE n = 99')).toHaveLength(1)
  })

  test('while its program still builds indexes can not commit after its recovery', async () => {
    const [id, living] = [randomUUID(), await stateOf(target.url)]
    const child = await start({ action: 'restore', id }, '')
    const building = `SELECT FROM pg_stat_activity WHERE datname = '${target.name}' AND query ~ '^CREATE INDEX'`
    await until(async () => (await query(source.url, building)).length > 0)
    child.kill('SIGKILL')
    await once(child, 'exit')
    await recoverAndFinish(id, living, 'as-before')
  })

  test('of which only the server process was killed leaves the old state', async () => {
    const living = await stateOf(target.url)
    const part = dump.into(target.url)
    const restoring = databaseRestorer
      .restore(part, await databaseRestorer.preflight(part))
      .catch((error: unknown) => error)
    const building = `FROM pg_stat_activity WHERE datname = '${target.name}' AND query ~ '^CREATE INDEX'`
    await until(async () => (await query(source.url, `SELECT pg_terminate_backend(pid) ${building}`)).length > 0)
    expect(await restoring).toMatchObject({ code: 'RESTORE_FAILED' })
    expect(await stateOf(target.url)).toEqual(living)
  })
})
