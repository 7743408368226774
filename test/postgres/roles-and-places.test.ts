import { randomBytes, randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { parsePostgresUrl } from '../../shared/postgres/connection.ts'
import { restoreIntoScratch } from '../../shared/postgres/restore-into-scratch.ts'
import { rolesNeeded } from '../../shared/postgres/role-needs.ts'
import type { ArchiveEntry } from '../../shared/postgres/rewrite-archive.ts'
import { dropScratch, scratchName } from '../../shared/postgres/scratch.ts'
import { createTestDatabase } from '../support/databases.ts'
import { dumpWhole } from '../support/dumps.ts'
import { clients, query, urlOfDatabase } from '../support/postgres.ts'
import { inPieces } from '../support/streams.ts'

const [gone, kept, place] = ['gone', 'kept', 'place'].map((name) => `${name}_${randomBytes(4).toString('hex')}`)

/** Restores a dump of what the statements make, after `then` has changed the server. */
async function restored(make: readonly string[], then: readonly string[]) {
  const source = await createTestDatabase()
  const name = scratchName('drill', randomUUID())
  const server = parsePostgresUrl(urlOfDatabase('postgres'))
  try {
    await query(source.url, `CREATE ROLE "${gone}"`, `CREATE ROLE ${kept}`)
    await query(source.url, 'SET allow_in_place_tablespaces = true', `CREATE TABLESPACE ${place} LOCATION ''`)
    await query(source.url, ...make)
    const { bytes, contents } = await dumpWhole(source.url)
    await query(source.url, ...then)
    const into = { server, name, marker: 'a drill', clients, expected: contents }
    const report = await restoreIntoScratch({ ...into, dump: inPieces(bytes, 10_000) })
    return { report, policies: await query(urlOfDatabase(name), 'SELECT polname FROM pg_policy ORDER BY 1') }
  } finally {
    await dropScratch(server, name, 'a drill')
    await source.drop()
    await query(urlOfDatabase('postgres'), `DROP TABLESPACE IF EXISTS ${place}`)
    await query(urlOfDatabase('postgres'), `DROP ROLE IF EXISTS "${gone}"`, `DROP ROLE IF EXISTS ${kept}`)
  }
}

const TABLE = [
  `CREATE TABLE a (id int PRIMARY KEY USING INDEX TABLESPACE ${place}) TABLESPACE ${place}`,
  'INSERT INTO a VALUES (1)',
  'ALTER TABLE a ENABLE ROW LEVEL SECURITY',
]

test('roles and tablespaces of the source that are gone stand against nothing, and what goes with them is named', async () => {
  const { report, policies } = await restored(
    [
      ...TABLE,
      `CREATE POLICY by_gone ON a TO "${gone}" USING (id > 0)`,
      `COMMENT ON POLICY by_gone ON a IS 'of a role'`,
      `CREATE POLICY by_kept ON a FOR SELECT TO ${kept}, CURRENT_USER USING (true)`,
      'CREATE POLICY for_all ON a FOR SELECT USING (id IN (SELECT 1))',
      `GRANT SELECT ON a TO ${kept}`,
      `ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO ${kept}`,
      'CREATE TABLE of_kept (n int)',
      `ALTER TABLE of_kept OWNER TO ${kept}`,
    ],
    [
      `DROP OWNED BY "${gone}"`,
      `DROP ROLE "${gone}"`,
      'ALTER TABLE a SET TABLESPACE pg_default',
      'ALTER INDEX a_pkey SET TABLESPACE pg_default',
      `DROP TABLESPACE ${place}`,
    ],
  )
  expect(report.left_out).toEqual([
    `POLICY public.a by_gone: the server lacks the role ${gone}`,
    'COMMENT public.POLICY by_gone ON a: it needs POLICY public.a by_gone, which is left out',
    'grants and revocations on 1 object(s): give and revoke them again',
    '1 default privilege(s): alter them again',
    expect.stringMatching(`^the owners .*${kept}.*: all belongs to one role$`) as string,
    `the tablespaces ${place}: all lies where the database does`,
  ])
  expect(policies).toEqual([{ polname: 'by_kept' }, { polname: 'for_all' }])
})

test('a policy that keeps rows from a role that is there is not left out because of another role', async () => {
  const made = `CREATE POLICY strict ON a AS RESTRICTIVE TO "${gone}", ${kept} USING (id > 1)`
  await expect(restored([...TABLE, made], [`DROP OWNED BY "${gone}"`, `DROP ROLE "${gone}"`])).rejects.toMatchObject({
    code: 'TARGET_INCOMPATIBLE',
    message: expect.stringContaining(
      `POLICY public.a strict can't be restored: the server lacks the role ${gone}`,
    ) as string,
  })
})

test('what only a superuser can create is left out, each with its reason', async () => {
  const { report } = await restored(
    [
      'CREATE CAST (varchar AS integer) WITH INOUT',
      "CREATE TYPE mood AS ENUM ('well')",
      'CREATE CAST (mood AS varchar) WITH INOUT',
      `CREATE FUNCTION quiet(int) RETURNS int LANGUAGE sql IMMUTABLE LEAKPROOF AS 'SELECT $1'`,
      `CREATE FUNCTION replica() RETURNS int LANGUAGE sql SET session_replication_role = replica AS 'SELECT 1'`,
      `CREATE FUNCTION says() RETURNS text LANGUAGE sql AS $$ SELECT '
    LANGUAGE c LEAKPROOF ' $$`,
      'CREATE EXTENSION postgres_fdw',
      'CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw',
      'CREATE USER MAPPING FOR PUBLIC SERVER far',
    ],
    [],
  )
  const reasons = report.left_out.filter((line) => !/EXTENSION|^SERVER far:/.test(line)).toSorted()
  expect(reasons).toEqual([
    'CAST CAST (character varying AS integer): only a superuser can create it',
    'FUNCTION public.quiet(integer): only a superuser can create it as leakproof',
    'FUNCTION public.replica(): only a superuser can create it with that setting',
    'USER MAPPING USER MAPPING public SERVER far: its server is left out',
  ])
})

test.each([
  ['POLICY', `CREATE POLICY p ON public.a TO "a ""b"" TO c", d USING ((x = ' TO e'::text));`, ['a "b" TO c', 'd']],
  ['POLICY', `CREATE POLICY p ON public.a FOR INSERT TO d WITH CHECK (true);`, ['d']],
  ['POLICY', `CREATE POLICY p ON public.a USING ((x = ' TO e'::text));`, []],
  ['USER MAPPING', `CREATE USER MAPPING FOR "A b" SERVER s OPTIONS (password 'x');`, ['A b']],
  ['USER MAPPING', `CREATE USER MAPPING FOR PUBLIC SERVER s;`, []],
  ['TABLE', `CREATE TABLE t (n int);`, []],
])('the roles that a %s needs: %s', (kind, definition, roles) => {
  expect(rolesNeeded({ kind, definition } as ArchiveEntry)).toEqual(roles)
})
