import { randomBytes } from 'node:crypto'
import { escapeIdentifier } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { DumpContents } from '../../shared/domain/manifest.ts'
import { parsePostgresUrl } from '../../shared/postgres/connection.ts'
import { planRestore } from '../../shared/postgres/restore-plan.ts'
import { readContents, type ArchiveContents } from '../../shared/postgres/rewrite-archive.ts'
import { createOwnedDatabase, type OwnedDatabase } from '../support/database-parts.ts'
import { createTestDatabase, onTestServer, type TestDatabase } from '../support/databases.ts'
import { dumpWhole } from '../support/dumps.ts'
import { clients, query, urlOfDatabase } from '../support/postgres.ts'
import { inPieces } from '../support/streams.ts'

const EVERYTHING = { schemas: [], tables: [], paths: [] }

let source: TestDatabase
let owned: OwnedDatabase
let expected: DumpContents
let contents: ArchiveContents

beforeAll(async () => {
  source = await createTestDatabase()
  owned = await createOwnedDatabase()
  await query(
    source.url,
    `CREATE EXTENSION file_fdw; CREATE EXTENSION hstore;
     CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
     CREATE FUNCTION quiet() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
     CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION quiet();
     CREATE TABLE a AS SELECT 1 AS one;
     CREATE PUBLICATION everything FOR ALL TABLES;
     CREATE PUBLICATION one FOR TABLE a;
     COMMENT ON PUBLICATION everything IS 'all of it'`,
  )
  const whole = await dumpWhole(source.url)
  expected = whole.contents
  contents = await readContents(inPieces(whole.bytes, 1000))
})
afterAll(async () => {
  await source.drop()
  await owned.drop()
})

const planFor = (url: string, changes: Partial<Parameters<typeof planRestore>[0]> = {}) =>
  planRestore({ connection: parsePostgresUrl(url), clients, contents, expected, selection: EVERYTHING, ...changes })

test('names what a role that is no superuser can not restore, each with why, and leaves the rest', async () => {
  const { leftOut, findings, method } = await planFor(owned.url)
  expect(method).toBe('in place')
  expect(findings).toEqual([])
  expect(leftOut.toSorted()).toEqual([
    'COMMENT EXTENSION file_fdw: what it describes is left out',
    'COMMENT PUBLICATION everything: what it describes is left out',
    'EVENT TRIGGER watch: only a superuser can create it',
    'EXTENSION file_fdw: only a superuser can create it',
    'PUBLICATION everything: only a superuser can publish all tables',
    'SERVER files: it needs EXTENSION file_fdw, which is left out',
  ])
})

test('goes in place where an extension is there that the role could not create again', async () => {
  const maker = await createOwnedDatabase('CREATEDB')
  try {
    expect((await planFor(maker.url)).method).toBe('swap')
    await query(urlOfDatabase(maker.name), 'CREATE EXTENSION file_fdw')
    const { method, leftOut } = await planFor(maker.url)
    expect(method).toBe('in place')
    expect(leftOut.some((line) => line.includes('file_fdw'))).toBe(false)
  } finally {
    await maker.drop()
  }
})

test('finds all that stands against it at once: versions, encoding, extensions, client', async () => {
  const lacking = [{ name: 'no_such_extension', version: '1.0', schema: 'public' }, ...expected.extensions]
  const changed = {
    ...expected,
    server_version: '99.1',
    client_version: '99.1',
    encoding: 'LATIN1',
    extensions: lacking,
  }
  expect((await planFor(owned.url, { expected: changed })).findings).toEqual([
    expect.stringMatching(/^its server runs PostgreSQL .*, older than the dumped 99\.1$/),
    'its encoding is UTF8, not LATIN1',
    'its server lacks the extension no_such_extension 1.0',
    expect.stringMatching(/^no pg_restore 99 to 16 is installed/),
  ])
})

test('finds objects and sessions of others, and rights that are missing or too many', async () => {
  const target = await createOwnedDatabase('CREATEDB')
  const other = `other_${randomBytes(4).toString('hex')}`
  try {
    await query(urlOfDatabase(target.name), 'CREATE TABLE of_the_superuser ()')
    await onTestServer(`GRANT pg_execute_server_program TO ${target.user}`)
    const session = query(urlOfDatabase(target.name), 'SELECT pg_sleep(600)').catch((error: unknown) => error)
    await expect
      .poll(async () => (await planFor(target.url)).findings, { timeout: 20_000 })
      .toEqual([
        expect.stringMatching(/member of pg_execute_server_program, which a hostile dump could use/),
        expect.stringMatching(/can't end the sessions that \S+ has in the database$/),
      ])
    await onTestServer(`CREATE ROLE ${other}`)
    await onTestServer(`ALTER DATABASE ${escapeIdentifier(target.name)} OWNER TO ${other}`)
    await onTestServer(`REVOKE pg_execute_server_program FROM ${target.user}`)
    expect((await planFor(target.url)).findings).toEqual([
      `the role ${target.user} may not create schemas in it`,
      `${target.user} can't drop what belongs to other roles: table public.of_the_superuser`,
    ])
    await onTestServer(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${target.name}'`)
    await session
  } finally {
    await target.drop()
    await onTestServer(`DROP ROLE IF EXISTS ${other}`)
  }
})

test('finds names in a selection that the backup has not, and takes no paths', async () => {
  const selection = { schemas: ['nowhere'], tables: ['public.a', 'public.missing'], paths: ['x'] }
  expect((await planFor(owned.url, { selection })).findings).toEqual([
    'the backup has no table public.missing with rows of its own',
    'the backup has no table in a schema nowhere',
    'paths are of media, and this is a database',
  ])
})
