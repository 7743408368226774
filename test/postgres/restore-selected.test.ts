import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Selection } from '../../shared/domain/selection.ts'
import { databaseRestorer } from '../../workers/restore/restore-database.ts'
import {
  createOwnedDatabase,
  stateOf,
  storeDump,
  type OwnedDatabase,
  type StoredDump,
} from '../support/database-parts.ts'
import { onTestServer } from '../support/databases.ts'
import { dumpWhole } from '../support/dumps.ts'
import { query, urlOfDatabase } from '../support/postgres.ts'

let target: OwnedDatabase

beforeEach(async () => {
  target = await createOwnedDatabase()
})
afterEach(() => target.drop())

/** The dump of the target as these statements make it. */
async function dumpOf(...statements: string[]): Promise<StoredDump> {
  await query(target.url, ...statements)
  return storeDump(await dumpWhole(target.url))
}

const findingsOf = async (dump: StoredDump, selection: Partial<Selection>): Promise<string[]> =>
  (await databaseRestorer.preflight(dump.into(target.url, { selection }))).findings

async function restore(dump: StoredDump, selection: Partial<Selection>, url = target.url) {
  const part = dump.into(url, { selection })
  const preflight = await databaseRestorer.preflight(part)
  expect(preflight.findings).toEqual([])
  return { ...preflight, report: await databaseRestorer.restore(part, preflight) }
}

test('rows come back where the dump has an extension of another role', async () => {
  await query(urlOfDatabase(target.name), 'CREATE EXTENSION pgcrypto')
  const dump = await dumpOf('CREATE TABLE a AS SELECT 1 AS id')
  await query(target.url, 'UPDATE a SET id = 2')
  await restore(dump, { tables: ['public.a'] })
  expect(await query(target.url, 'SELECT id FROM a')).toEqual([{ id: 1 }])
})

test('a sequence that has gone to another table, or is gone, is found before, and no other one is set', async () => {
  const dump = await dumpOf(
    'CREATE TABLE a (id serial PRIMARY KEY)',
    'INSERT INTO a DEFAULT VALUES',
    'CREATE TABLE "B" ("Id" int GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME "B\'s ""own"""))',
    'INSERT INTO "B" DEFAULT VALUES',
  )
  const selection = { tables: ['public.a', 'public.B'] }
  await restore(dump, selection)
  await query(
    target.url,
    'ALTER TABLE a RENAME TO a_old',
    'CREATE TABLE a (id serial)',
    'ALTER TABLE "B" ALTER "Id" DROP IDENTITY',
  )
  expect(await findingsOf(dump, selection)).toEqual([
    `"public"."B" has no sequence "public"."B's ""own""" of its own any more`,
    '"public"."a" has no sequence "public"."a_id_seq" of its own any more',
  ])
})

test('triggers of a partitioned table do not fire on PostgreSQL 14 and older either, where they are internal', async () => {
  const dump = await dumpOf(
    'CREATE TABLE log (what text)',
    'CREATE TABLE parents (id int PRIMARY KEY)',
    'INSERT INTO parents VALUES (1)',
    'CREATE TABLE p (id int REFERENCES parents) PARTITION BY LIST (id)',
    'CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)',
    'INSERT INTO p VALUES (1)',
    `CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN INSERT INTO public.log VALUES (TG_NAME); RETURN NULL; END $$`,
    'CREATE TRIGGER row AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION note()',
    'CREATE CONSTRAINT TRIGGER late AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION note()',
  )
  // As these versions do it.
  await query(urlOfDatabase(target.name), `UPDATE pg_trigger SET tgisinternal = true WHERE tgrelid = 'p1'::regclass`)
  const selection = { tables: ['public.p1'] }
  expect(await findingsOf(dump, selection)).toEqual([
    expect.stringMatching(
      /^the trigger late of "public"."p1" comes from its partitioned table, and before PostgreSQL 15/,
    ),
    expect.stringMatching(/^the trigger row of "public"."p1" comes from/),
  ])
  await restore(dump, selection, urlOfDatabase(target.name))
  expect(await query(target.url, 'SELECT what FROM log')).toEqual([])
  const modes = `SELECT DISTINCT tgenabled AS mode FROM pg_trigger WHERE tgrelid = 'p1'::regclass`
  expect(await query(target.url, modes)).toEqual([{ mode: 'O' }])
})

test('a foreign key to another table may be checked as late as at the end, beside triggers', async () => {
  const dump = await dumpOf(
    'CREATE TABLE customers (id int PRIMARY KEY)',
    'INSERT INTO customers VALUES (1)',
    'CREATE TABLE orders (customer int REFERENCES customers DEFERRABLE INITIALLY DEFERRED)',
    'INSERT INTO orders VALUES (1)',
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'it fires'; END $$`,
    'CREATE TRIGGER refuse AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION refuse()',
  )
  const old = await stateOf(target.url)
  await query(target.url, 'DELETE FROM orders')
  await restore(dump, { tables: ['public.orders'] })
  expect(await stateOf(target.url)).toEqual(old)
})

test('foreign keys among the selected tables keep their comments', async () => {
  const dump = await dumpOf(
    'CREATE TABLE customers (id int PRIMARY KEY)',
    'CREATE TABLE orders (customer int CONSTRAINT "who bought" REFERENCES customers)',
    `COMMENT ON CONSTRAINT "who bought" ON orders IS E'it''s \\\\ the "Käufer";\nhim'`,
  )
  const old = await stateOf(target.url)
  await restore(dump, { schemas: ['public'] })
  expect(await stateOf(target.url)).toEqual(old)
})

test('a table that is gone is made in a schema that is there without the right to make schemas', async () => {
  const dump = await dumpOf('CREATE SCHEMA s', 'CREATE TABLE s.a AS SELECT 1 AS id')
  await onTestServer(`REVOKE CREATE ON DATABASE ${target.name} FROM ${target.user}`)
  await query(target.url, 'DROP TABLE s.a')
  await restore(dump, { schemas: ['s'] })
  expect(await query(target.url, 'SELECT id FROM s.a')).toEqual([{ id: 1 }])
  await query(target.url, 'DROP SCHEMA s CASCADE')
  expect(await findingsOf(dump, { schemas: ['s'] })).toEqual([`the role ${target.user} may not create schemas in it`])
})

test('a role that neither owns the database nor may create in it is told so before', async () => {
  const dump = await dumpOf('CREATE TABLE a AS SELECT 1 AS id')
  await onTestServer(`ALTER DATABASE ${target.name} OWNER TO CURRENT_USER`)
  const selection = { tables: ['public.a'] }
  const noSchemas = `the role ${target.user} may not create schemas in it`
  expect(await findingsOf(dump, selection)).toEqual([noSchemas])
  await query(target.url, 'DROP TABLE a')
  await query(urlOfDatabase(target.name), 'REVOKE CREATE ON SCHEMA public FROM PUBLIC')
  expect(await findingsOf(dump, selection)).toEqual([
    noSchemas,
    `the role ${target.user} may not create tables in the schema public`,
  ])
  await onTestServer(`GRANT CREATE ON DATABASE ${target.name} TO ${target.user}`)
  await query(urlOfDatabase(target.name), `GRANT CREATE ON SCHEMA public TO ${target.user}`)
  await restore(dump, selection)
})

test('a table that is gone takes nothing of a table whose name begins with its own', async () => {
  const dump = await dumpOf(
    'CREATE TABLE a (id int PRIMARY KEY)',
    'CREATE TABLE "a b" (id int CONSTRAINT k REFERENCES a)',
    'INSERT INTO a VALUES (1)',
  )
  await query(target.url, 'DROP TABLE a CASCADE', 'ALTER TABLE "a b" RENAME TO c')
  expect((await restore(dump, { tables: ['public.a'] })).report).toMatchObject({ created: ['"public"."a"'] })
})

test('a name that fits two tables is found before, and either can be selected by its schema', async () => {
  const dump = await dumpOf(
    'CREATE SCHEMA a',
    'CREATE SCHEMA "a.b"',
    'CREATE TABLE a."b.c" AS SELECT 1 AS n',
    'CREATE TABLE "a.b".c AS SELECT 1 AS n',
  )
  expect(await findingsOf(dump, { tables: ['a.b.c'] })).toEqual([
    'a.b.c may mean "a"."b.c" or "a.b"."c": select a schema',
  ])
  expect((await restore(dump, { schemas: ['a.b'] })).report).toMatchObject({ tables: 1 })
})

test('what a table that is gone needs and the target lacks is found before', async () => {
  const dump = await dumpOf(
    'CREATE SCHEMA s',
    'CREATE TABLE s.p (day int, PRIMARY KEY (day)) PARTITION BY LIST (day)',
    'CREATE TABLE s.p1 PARTITION OF s.p FOR VALUES IN (1)',
    `CREATE TYPE s.mood AS ENUM ('well')`,
    'CREATE FUNCTION s.ok(s.mood) RETURNS bool IMMUTABLE LANGUAGE sql RETURN true',
    'CREATE TABLE customers (id int PRIMARY KEY)',
    'CREATE TABLE s.orders (mood s.mood CHECK (s.ok(mood)), customer int REFERENCES customers)',
  )
  await query(target.url, 'DROP TABLE s.orders')
  await restore(dump, { tables: ['s.orders'] })
  await query(target.url, 'DROP SCHEMA s CASCADE', 'DROP TABLE customers')
  const lacked = await findingsOf(dump, { schemas: ['s'] })
  expect(lacked.map((finding) => finding.replace(/, which .* needs$/, '')).toSorted()).toEqual([
    'the target lacks FUNCTION s.ok(s.mood)',
    'the target lacks TABLE public.customers',
    'the target lacks TABLE s.p',
    'the target lacks TYPE s.mood',
  ])
  await query(target.url, 'CREATE TABLE customers (id int)')
  expect(await findingsOf(dump, { tables: ['s.orders'] })).toContain(
    'the target lacks CONSTRAINT public.customers customers_pkey, which FK CONSTRAINT s.orders orders_customer_fkey needs',
  )
})

test('what went with a table that is made anew, and its grants, are named as left out', async () => {
  const dump = await dumpOf(
    'CREATE TABLE customers (id int PRIMARY KEY, name text)',
    'CREATE TABLE orders (customer int REFERENCES customers)',
    'CREATE VIEW names AS SELECT name FROM customers',
    'CREATE VIEW letters AS SELECT left(name, 1) FROM names',
    'CREATE VIEW kept AS SELECT id FROM customers',
    'CREATE FUNCTION best() RETURNS SETOF customers LANGUAGE sql RETURN NULL::customers',
    'CREATE SCHEMA s',
    'CREATE STATISTICS s.both ON id, name FROM customers',
    'CREATE PUBLICATION news FOR TABLE customers, orders',
    'CREATE TABLE more (extra int UNIQUE) INHERITS (customers)',
    'GRANT SELECT ON customers TO PUBLIC',
  )
  const selection = { tables: ['public.customers'] }
  expect((await restore(dump, { tables: ['public.orders'] })).leftOut).toEqual([])
  await query(target.url, 'DROP TABLE customers CASCADE', 'CREATE VIEW kept AS SELECT 1 AS id')
  const { leftOut } = await restore(dump, selection)
  expect(
    leftOut.map((line) => line.replace(': it is gone like a table that it hangs on, and is not made again', '')),
  ).toEqual([
    'grants and revocations on 1 object(s): give and revoke them again',
    'FUNCTION public.best()',
    'VIEW public.names',
    'VIEW public.letters',
    'TABLE public.more',
    'STATISTICS s.both',
    'FK CONSTRAINT public.orders orders_customer_fkey',
    'PUBLICATION TABLE public.news customers',
  ])
})

test('indexes and sequences that a renamed table has kept are found before', async () => {
  const dump = await dumpOf('CREATE TABLE a (id serial PRIMARY KEY, n int)', 'CREATE INDEX by_n ON a (n)')
  await query(target.url, 'ALTER TABLE a RENAME TO a_old')
  const selection = { tables: ['public.a'] }
  expect((await findingsOf(dump, selection)).toSorted()).toEqual([
    'the target has another INDEX public.a_pkey: rename it',
    'the target has another INDEX public.by_n: rename it',
    'the target has another SEQUENCE public.a_id_seq: rename it',
  ])
  await query(target.url, 'DROP TABLE a_old')
  await restore(dump, selection)
})
