import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { CofferError } from '../../shared/errors.ts'
import { parsePostgresUrl } from '../../shared/postgres/connection.ts'
import { withSession } from '../../shared/postgres/session.ts'
import { databaseRestorer } from '../../workers/restore/restore-database.ts'
import { createOwnedDatabase, stateOf, storeDump, type OwnedDatabase } from '../support/database-parts.ts'
import { createTestDatabase, type TestDatabase } from '../support/databases.ts'
import { dumpWhole, type WholeDump } from '../support/dumps.ts'
import { query } from '../support/postgres.ts'

let folder: string
let canary: string
let source: TestDatabase
let target: OwnedDatabase

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'coffer-canary-'))
  chmodSync(folder, 0o777)
  canary = join(folder, 'canary')
})
afterAll(() => rmSync(folder, { recursive: true }))
beforeEach(async () => {
  source = await createTestDatabase()
  target = await createOwnedDatabase('CREATEDB')
  await query(target.url, 'CREATE TABLE a (a_column_with_quite_a_long_name_so_that_there_is_space_for_a_command int)')
  await query(target.url, 'INSERT INTO a VALUES (1)')
})
afterEach(async () => {
  await source.drop()
  await target.drop()
})

/** As a superuser, the worst that a connection may be. */
const asSuperuser = () => {
  const url = new URL(source.url)
  url.pathname = `/${target.name}`
  return url.href
}

async function refused(whole: WholeDump, url: string, tables: string[] = []): Promise<CofferError> {
  const living = await stateOf(target.url)
  const part = (await storeDump(whole)).into(url, { selection: { tables } })
  const error = await databaseRestorer
    .restore(part, { isEmpty: false, keepsOldState: false, method: '', findings: [], leftOut: [] })
    .then(
      () => expect.unreachable('it succeeded'),
      (thrown: unknown) => thrown as CofferError,
    )
  expect(existsSync(canary)).toBe(false)
  expect(await databaseRestorer.recover(part)).toBe('as-before')
  expect(await stateOf(target.url)).toEqual(living)
  return error
}

describe('F36 a hostile dump runs no program, leaves the target as it was, and that though the connection is a superuser:', () => {
  /** What an index calls may change nothing itself, but calls what may. */
  const FUNCTION = (body: string) =>
    `CREATE OR REPLACE FUNCTION attack() RETURNS void LANGUAGE plpgsql AS $$ BEGIN ${body} END $$;
     CREATE OR REPLACE FUNCTION evil(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
       $$ BEGIN PERFORM public.attack(); RETURN $1; END $$`
  const ATTACK = () => `EXECUTE 'COPY (SELECT 1) TO PROGRAM ''touch ${canary}''';`

  test('the canary would be seen', async () => {
    await query(source.url, FUNCTION(ATTACK()), 'SELECT evil(1)')
    expect(existsSync(canary)).toBe(true)
    rmSync(canary)
  })

  test.each([
    ['a function that an index calls', '', 'CREATE TABLE a AS SELECT 1 AS n', 'CREATE INDEX ON a (evil(n))'],
    [
      'a function that a constraint calls for each row, and that first takes back its role',
      'RESET ROLE; RESET SESSION AUTHORIZATION;',
      'CREATE TABLE a (n int CHECK (evil(n) = n))',
      'INSERT INTO a VALUES (1)',
    ],
  ])('%s', async (_title, first, ...setUp) => {
    await query(source.url, FUNCTION(''), ...setUp)
    await query(source.url, FUNCTION(first + ATTACK()))
    const error = await refused(await dumpWhole(source.url), asSuperuser())
    expect(error.code).toBe('RESTORE_FAILED')
    expect(error.message).toMatch(/permission denied to COPY to or from an external program|must be superuser/)
  })

  test('an archive whose COPY reads from a program, whole or a single table of it', async () => {
    await query(source.url, 'CREATE TABLE a (a_column_with_quite_a_long_name_so_that_there_is_space_for_a_command int)')
    const whole = await dumpWhole(source.url)
    const bytes = Buffer.from(whole.bytes)
    const at = bytes.indexOf('COPY public.a (')
    const length = bytes.indexOf('\n', at) - at
    bytes.write(`COPY public.a FROM PROGRAM 'touch ${canary}';`.padEnd(length), at)
    expect(length).toBeGreaterThan(60)
    expect((await refused({ ...whole, bytes }, asSuperuser())).code).toBe('RESTORE_FAILED')
    const single = await refused({ ...whole, bytes }, asSuperuser(), ['public.a'])
    expect(single.message).toMatch(/the dump's statements for "public"."a" are not those of pg_dump/)
  })

  test('a setting of the database, by which `=` would mean a function of its own to whoever enters, reaches nobody', async () => {
    const arm = `IF pg_catalog.current_database() LIKE 'coffer_restore_%' THEN
      EXECUTE pg_catalog.format('ALTER DATABASE %I SET search_path = evil, pg_catalog', pg_catalog.current_database());
      EXECUTE pg_catalog.format('ALTER ROLE CURRENT_USER IN DATABASE %I SET search_path = evil, pg_catalog', pg_catalog.current_database());
    END IF;`
    await query(
      source.url,
      `CREATE SCHEMA evil;
       CREATE FUNCTION evil.equals(name, name) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
         IF pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on' THEN ${ATTACK()} END IF;
         RETURN $1 OPERATOR(pg_catalog.=) $2; END $$;
       CREATE OPERATOR evil.= (FUNCTION = evil.equals, LEFTARG = name, RIGHTARG = name)`,
      FUNCTION(arm),
      'CREATE TABLE a (n int CHECK (evil(n) = n))',
      'INSERT INTO a VALUES (1)',
    )
    const part = (await storeDump(await dumpWhole(source.url))).into(asSuperuser())
    await databaseRestorer.restore(part, await databaseRestorer.preflight(part))
    expect(existsSync(canary)).toBe(false)
    const settings = `SELECT setconfig FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
                       WHERE datname = '${target.name}'`
    expect(await query(source.url, settings)).toEqual([])
    await databaseRestorer.confirm(part)
    expect(existsSync(canary)).toBe(false)
  })

  test('what autovacuum would soon run with the rights of an owner who is a superuser has run before, without', async () => {
    const ofSuperuser = await createTestDatabase()
    await query(
      source.url,
      FUNCTION(''),
      'CREATE TABLE a AS SELECT n FROM generate_series(1, 500) n',
      'CREATE INDEX ON a (evil(n))',
    )
    const isSuper = '(SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)'
    await query(source.url, FUNCTION(`IF ${isSuper} THEN ${ATTACK()} END IF;`))
    const part = (await storeDump(await dumpWhole(source.url))).into(ofSuperuser.url)
    await databaseRestorer.restore(part, await databaseRestorer.preflight(part))
    const waiting = `SELECT relname FROM pg_catalog.pg_stat_user_tables WHERE n_mod_since_analyze > 0 OR last_analyze IS NULL`
    expect(await query(ofSuperuser.url, waiting)).toEqual([])
    await databaseRestorer.confirm(part)

    await query(source.url, FUNCTION(`IF NOT ${isSuper} THEN RAISE 'not yet'; END IF;`))
    await query(source.url, 'DROP INDEX a_evil_idx', 'CREATE STATISTICS s ON (evil(n)), (n + 1) FROM a')
    const patient = (await storeDump(await dumpWhole(source.url))).into(ofSuperuser.url)
    const restored = databaseRestorer.restore(patient, await databaseRestorer.preflight(patient))
    await expect(restored).rejects.toThrow(/can't be analyzed: not yet/)
    expect(existsSync(canary)).toBe(false)
    await ofSuperuser.drop()
  })

  test('a session resolves no name by the settings of its database, and has none of its limits', async () => {
    await query(source.url, `ALTER DATABASE ${source.name} SET search_path = evil, pg_catalog`)
    await query(source.url, `ALTER DATABASE ${source.name} SET statement_timeout = 70`)
    const shown = `SELECT current_setting('search_path') AS path, current_setting('statement_timeout') AS timeout`
    const { rows } = await withSession(parsePostgresUrl(source.url), {}, (session) => session.query(shown))
    expect(rows).toEqual([{ path: 'pg_catalog', timeout: '0' }])
  })

  test('it gets no extension that reaches the network or files, unless the database had it', async () => {
    await query(source.url, 'CREATE EXTENSION dblink', 'CREATE EXTENSION pg_stat_statements', 'CREATE TABLE b (n int)')
    const dump = await storeDump(await dumpWhole(source.url))
    const extensions = () =>
      query(asSuperuser(), `SELECT extname AS name FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1`)
    for (const { first, leftOut, there } of [
      {
        first: 'SELECT',
        leftOut: [
          'EXTENSION dblink: only a superuser can create it',
          'COMMENT EXTENSION dblink: what it describes is left out',
        ],
        there: [{ name: 'pg_stat_statements' }],
      },
      { first: 'CREATE EXTENSION dblink', leftOut: [], there: [{ name: 'dblink' }, { name: 'pg_stat_statements' }] },
    ]) {
      await query(asSuperuser(), first)
      const part = dump.into(asSuperuser())
      const preflight = await databaseRestorer.preflight(part)
      expect(preflight.leftOut).toEqual(leftOut)
      expect(await databaseRestorer.restore(part, preflight)).toMatchObject({ left_out: leftOut })
      expect(await extensions()).toEqual(there)
      await databaseRestorer.confirm(part)
    }
  })

  test('an event trigger is left out', async () => {
    const { bytes, contents, takenAt } = await (async () => {
      await query(
        source.url,
        `CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN ${ATTACK()} END $$`,
        'CREATE TABLE b (n int)',
        "CREATE EVENT TRIGGER watching ON ddl_command_end WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION watch()",
      )
      return dumpWhole(source.url)
    })()
    const part = (await storeDump({ bytes, contents, takenAt })).into(asSuperuser())
    const report = await databaseRestorer.restore(part, await databaseRestorer.preflight(part))
    expect(report).toMatchObject({ left_out: ['EVENT TRIGGER watching: only a superuser can create it'] })
    await query(asSuperuser(), 'CREATE INDEX ON b (n)')
    expect(existsSync(canary)).toBe(false)
    await databaseRestorer.confirm(part)
  })
})
