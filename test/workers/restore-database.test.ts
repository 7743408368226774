import { randomBytes, randomUUID } from 'node:crypto'
import { escapeIdentifier } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { databaseRestorer } from '../../workers/restore/restore-database.ts'
import {
  createOwnedDatabase,
  spoil,
  stateOf,
  storeDump,
  truncate,
  type OwnedDatabase,
  type StoredDump,
} from '../support/database-parts.ts'
import { createTestDatabase, onTestServer, type TestDatabase } from '../support/databases.ts'
import { dumpWhole, type WholeDump } from '../support/dumps.ts'
import { query } from '../support/postgres.ts'

const SHOP = `
  CREATE SCHEMA "Shop";
  CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL);
  INSERT INTO customers (name) SELECT 'customer ' || n FROM generate_series(1, 500) n;
  CREATE TABLE "Shop".orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int NOT NULL REFERENCES customers);
  INSERT INTO "Shop".orders (customer) SELECT n FROM generate_series(1, 300) n;
  CREATE VIEW busy AS SELECT customer, count(*) FROM "Shop".orders GROUP BY 1;
  SELECT lo_from_bytea(4711, 'a large object');
  COMMENT ON TABLE customers IS 'who buys'`

/** What a deployment does after the backup: tables with foreign keys into old ones, rewritten rows, other definitions. */
const DEPLOYMENT = `
  CREATE TABLE invoices (id serial PRIMARY KEY, customer int REFERENCES customers, "order" int REFERENCES "Shop".orders);
  INSERT INTO invoices (customer, "order") SELECT n, n FROM generate_series(1, 100) n;
  CREATE SCHEMA later;
  CREATE TABLE later.unrelated AS SELECT 1 AS one;
  CREATE TYPE later.mood AS ENUM ('sad');
  CREATE FUNCTION newer() RETURNS int LANGUAGE sql AS 'SELECT 1';
  UPDATE customers SET name = 'rewritten';
  DELETE FROM "Shop".orders WHERE id > 200;
  ALTER TABLE customers ADD COLUMN email text;
  INSERT INTO customers (name) SELECT 'new' FROM generate_series(1, 50);
  SELECT lo_unlink(4711), lo_create(4712);
  COMMENT ON SCHEMA public IS 'changed'`

let source: TestDatabase
let shop: WholeDump
let dump: StoredDump
let before: { sql: string; rows: unknown[] }

beforeAll(async () => {
  source = await createTestDatabase()
  await query(source.url, SHOP)
  shop = await dumpWhole(source.url)
  before = await stateOf(source.url)
})
afterAll(() => source.drop())
beforeEach(async () => {
  dump = await storeDump(shop)
})

async function restore(part: ReturnType<StoredDump['into']>) {
  const preflight = await databaseRestorer.preflight(part)
  expect(preflight.findings).toEqual([])
  return databaseRestorer.restore(part, preflight)
}

/** Names differ with the role that owns everything. */
const withoutOwner = ({ sql, rows }: { sql: string; rows: unknown[] }) => ({
  sql: sql.replaceAll(/Owner: \S+|OWNER TO \S+;/g, 'owner'),
  rows,
})

const leftovers = (id: string) =>
  query<{ name: string }>(
    source.url,
    `SELECT datname AS name FROM pg_database WHERE datname ~ '${id.replaceAll('-', '')}'
      UNION ALL SELECT rolname FROM pg_roles WHERE rolname ~ '${id.replaceAll('-', '')}'`,
  )

describe.each([
  ['a role that may create databases', 'CREATEDB', /scratch database/],
  ['a role that may not create databases', '', /in one transaction/],
])('the commonest disaster, by %s', (_title, rights, method) => {
  let target: OwnedDatabase
  beforeEach(async () => {
    target = await createOwnedDatabase(rights, `The "target" ${randomBytes(3).toString('hex')}`)
    await query(target.url, SHOP, DEPLOYMENT)
  })
  afterEach(() => target.drop())

  test('ends with exactly the old state: SQL, rows, sequences, large objects, and nothing of the new', async () => {
    const part = dump.into(target.url)
    const { isEmpty, method: said } = await databaseRestorer.preflight(part)
    expect(isEmpty).toBe(false)
    expect(said).toMatch(method)
    const report = await restore(part)
    expect(report).toMatchObject({ tables: 2, rows: 800, large_objects: 1, compared: 'definitions', left_out: [] })
    expect(withoutOwner(await stateOf(target.url))).toEqual(withoutOwner(before))
    expect(await databaseRestorer.recover(part)).toBe('restored')
    await databaseRestorer.confirm(part)
    await databaseRestorer.confirm(part)
    expect(await leftovers(part.id)).toEqual([])
  })

  test.each([
    ['with a flipped byte', spoil],
    ['cut short', truncate],
  ])('of an artifact %s leaves it as it was', async (_damage, damage) => {
    const living = await stateOf(target.url)
    const part = dump.into(target.url)
    const preflight = await databaseRestorer.preflight(part)
    damage(dump)
    await expect(databaseRestorer.restore(part, preflight)).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' })
    expect(await stateOf(target.url)).toEqual(living)
    expect(await databaseRestorer.recover(part)).toBe('as-before')
    expect(await leftovers(part.id)).toEqual([])
  })
})

describe('a restore by swap', () => {
  let target: OwnedDatabase
  beforeEach(async () => {
    target = await createOwnedDatabase('CREATEDB')
    await query(target.url, SHOP, DEPLOYMENT)
  })
  afterEach(() => target.drop())

  test('carries over owner, grants, settings, limit and comment of the database', async () => {
    const [name, reader] = [escapeIdentifier(target.name), `reader_${randomBytes(4).toString('hex')}`]
    await onTestServer(`CREATE ROLE ${reader}`)
    try {
      await query(
        target.url,
        `REVOKE ALL ON DATABASE ${name} FROM PUBLIC`,
        `GRANT CONNECT ON DATABASE ${name} TO ${reader} WITH GRANT OPTION`,
        `ALTER DATABASE ${name} SET search_path TO "Shop", public`,
        `ALTER DATABASE ${name} SET work_mem TO '64MB'`,
        `ALTER ROLE ${target.user} IN DATABASE ${name} SET statement_timeout TO '5min'`,
        `ALTER DATABASE ${name} CONNECTION LIMIT 17`,
        `COMMENT ON DATABASE ${name} IS 'it''s the shop'`,
      )
      await onTestServer(`ALTER DATABASE ${name} SET log_statement TO 'ddl'`)
      const properties = () =>
        query(
          source.url,
          `SELECT datacl::text, datconnlimit, pg_get_userbyid(datdba) AS owner, setrole, setconfig
             FROM pg_database d JOIN pg_db_role_setting ON setdatabase = d.oid WHERE datname = '${target.name}' ORDER BY setrole`,
        )
      const old = await properties()
      const part = dump.into(target.url)
      const { leftOut } = await databaseRestorer.preflight(part)
      expect(leftOut).toEqual([expect.stringMatching(/^the setting log_statement = ddl .* only a superuser/)])
      expect(await restore(part)).toMatchObject({ left_out: [expect.stringContaining('log_statement')] })
      const carried = JSON.parse(JSON.stringify(old).replace(',"log_statement=ddl"', '')) as unknown
      expect(await properties()).toEqual(carried)
      const comment = `SELECT shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = '${target.name}'`
      expect(await query(source.url, comment)).toEqual([{ comment: `it's the shop\n[coffer restore ${part.id}]` }])
      await databaseRestorer.confirm(part)
    } finally {
      await target.drop()
      await onTestServer(`DROP ROLE ${reader}`)
    }
  })

  test('can be undone, twice, and then not confirmed away; after it was confirmed it can not', async () => {
    const living = await stateOf(target.url)
    const part = dump.into(target.url)
    await restore(part)
    await databaseRestorer.undo(part)
    await databaseRestorer.undo(part)
    expect(await stateOf(target.url)).toEqual(living)
    expect(await leftovers(part.id)).toEqual([])
    const again = dump.into(target.url)
    await restore(again)
    await databaseRestorer.confirm(again)
    await expect(databaseRestorer.undo(again)).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(withoutOwner(await stateOf(target.url))).toEqual(withoutOwner(before))
  })

  test('of three restores, only the one that the database is from now can be undone', async () => {
    const first = dump.into(target.url)
    const states = [await stateOf(target.url)]
    await restore(first)
    await query(target.url, 'CREATE TABLE after_the_first (n int)')
    states.push(await stateOf(target.url))
    const second = dump.into(target.url)
    await restore(second)
    const third = dump.into(target.url)
    await restore(third)
    await databaseRestorer.undo(third)
    await expect(databaseRestorer.undo(first)).rejects.toMatchObject({ code: 'CONFLICT' })
    await databaseRestorer.undo(second)
    expect(await stateOf(target.url)).toEqual(states[1])
    await databaseRestorer.undo(first)
    expect(await stateOf(target.url)).toEqual(states[0])
  })

  test('ends the sessions of the old database, and drops it at once where it was empty', async () => {
    const empty = await createOwnedDatabase('CREATEDB')
    try {
      const sleeper = query(empty.url, 'SELECT pg_sleep(600)').catch((error: unknown) => error)
      const part = dump.into(empty.url)
      expect(await databaseRestorer.preflight(part)).toMatchObject({ isEmpty: true })
      await restore(part)
      expect(await sleeper).toBeInstanceOf(Error)
      expect(await leftovers(part.id)).toEqual([])
      expect(withoutOwner(await stateOf(empty.url))).toEqual(withoutOwner(before))
    } finally {
      await empty.drop()
    }
  })

  test('by a superuser is done as a role of its own, and ends owned by the owner of the database', async () => {
    const url = new URL(source.url)
    url.pathname = `/${target.name}`
    const part = dump.into(url.href, { id: randomUUID() })
    await restore(part)
    const owners = `SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname IN ('public', 'Shop')`
    expect(await query(url.href, owners)).toEqual([{ tableowner: target.user }])
    await databaseRestorer.confirm(part)
    expect(await leftovers(part.id)).toEqual([])
    expect(withoutOwner(await stateOf(target.url))).toEqual(withoutOwner(before))
  })
})
