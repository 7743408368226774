import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { databaseRestorer } from '../../workers/restore/restore-database.ts'
import { createOwnedDatabase, spoil, stateOf, storeDump, type OwnedDatabase } from '../support/database-parts.ts'
import { createTestDatabase, type TestDatabase } from '../support/databases.ts'
import { dumpWhole, type WholeDump } from '../support/dumps.ts'
import { query } from '../support/postgres.ts'

const SHOP = `
  CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL, "boss" int REFERENCES customers);
  INSERT INTO customers (name, boss) SELECT 'customer ' || n, CASE WHEN n < 100 THEN n + 1 END FROM generate_series(1, 100) n;
  CREATE TABLE orders (id serial PRIMARY KEY, customer int NOT NULL REFERENCES customers);
  INSERT INTO orders (customer) SELECT n FROM generate_series(1, 100) n;
  CREATE INDEX orders_customer ON orders (customer);
  COMMENT ON TABLE orders IS 'what they bought';
  CREATE SCHEMA "Other";
  CREATE TABLE "Other"."a ""table""" AS SELECT 1 AS "a column";
  CREATE TABLE other (n int);
  INSERT INTO other VALUES (1)`
const NOISE = `CREATE FUNCTION noise() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN UPDATE other SET n = n + 1; RETURN NULL; END $$;
  CREATE TRIGGER noise AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON customers EXECUTE FUNCTION noise()`
const DAMAGE = `UPDATE customers SET name = 'rewritten'; DELETE FROM orders WHERE id > 50;
  INSERT INTO customers (name) SELECT 'new' FROM generate_series(1, 30);
  SELECT nextval('orders_id_seq') FROM generate_series(1, 10)`

let source: TestDatabase
let shop: WholeDump
let target: OwnedDatabase

beforeAll(async () => {
  source = await createTestDatabase()
  await query(source.url, SHOP)
  shop = await dumpWhole(source.url)
})
afterAll(() => source.drop())
beforeEach(async () => {
  target = await createOwnedDatabase()
  await query(target.url, SHOP, NOISE)
})
afterEach(() => target.drop())

const BOTH = { selection: { tables: ['public.customers', 'public.orders'] } }

test('selected tables get their old rows and positions; definitions, triggers and all else stay as they are', async () => {
  const dump = await storeDump(shop)
  const old = await stateOf(target.url)
  await query(target.url, DAMAGE, 'UPDATE other SET n = 1')
  const part = dump.into(target.url, BOTH)
  const preflight = await databaseRestorer.preflight(part)
  expect(preflight).toMatchObject({ findings: [], leftOut: [] })
  expect(await databaseRestorer.restore(part, preflight)).toMatchObject({ tables: 2, rows: 200, created: [] })
  expect(await stateOf(target.url)).toEqual(old)
  expect(await databaseRestorer.recover(part)).toBe('restored')
})

test('of a corrupt artifact change nothing, sequences included', async () => {
  const dump = await storeDump(shop)
  await query(target.url, DAMAGE)
  const living = await stateOf(target.url)
  const part = dump.into(target.url, BOTH)
  const preflight = await databaseRestorer.preflight(part)
  spoil(dump)
  await expect(databaseRestorer.restore(part, preflight)).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' })
  expect(await stateOf(target.url)).toEqual(living)
})

test('tables that are gone are created with what hangs on them, in a schema that is gone too', async () => {
  const dump = await storeDump(shop)
  const old = await stateOf(target.url)
  await query(target.url, 'DROP TABLE orders', 'DROP SCHEMA "Other" CASCADE')
  const part = dump.into(target.url, { selection: { tables: ['public.orders'], schemas: ['Other'] } })
  const preflight = await databaseRestorer.preflight(part)
  expect(preflight.findings).toEqual([])
  const report = await databaseRestorer.restore(part, preflight)
  expect(report).toMatchObject({ tables: 2, created: ['"Other"."a ""table"""', '"public"."orders"'] })
  expect(await stateOf(target.url)).toEqual(old)
})

test('what can not be replaced alone is found before: foreign keys from others, columns that are gone', async () => {
  const dump = await storeDump(shop)
  await query(
    target.url,
    'CREATE TABLE later (customer int REFERENCES customers)',
    'ALTER TABLE orders DROP COLUMN customer',
  )
  const { findings } = await databaseRestorer.preflight(dump.into(target.url, BOTH))
  expect(findings).toEqual([
    '"public"."orders" has no column customer any more',
    '"public"."later" has a foreign key into "public"."customers": select it too',
  ])
})

test('by a superuser rows are replaced, and nothing is created that a dump defines', async () => {
  const dump = await storeDump(shop)
  const old = await stateOf(target.url)
  await query(target.url, DAMAGE, 'UPDATE other SET n = 1')
  const url = new URL(source.url)
  url.pathname = `/${target.name}`
  const part = dump.into(url.href, BOTH)
  await databaseRestorer.restore(part, await databaseRestorer.preflight(part))
  expect(await stateOf(target.url)).toEqual(old)
  await query(target.url, 'DROP TABLE orders')
  const { findings } = await databaseRestorer.preflight(part)
  expect(findings).toEqual([expect.stringMatching(/a superuser can't safely create what a dump defines/)])
})
