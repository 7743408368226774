import { Redis } from 'ioredis'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureServices, type Services } from '../../scripts/services/ensure-services.ts'
import { checkGivenDatabase, checkGivenRedis, isCofferKey } from '../../scripts/services/given.ts'
import { createTestDatabase, type TestDatabase } from '../support/databases.ts'

describe('a given database', () => {
  let database: TestDatabase
  let client: Client
  beforeEach(async () => {
    database = await createTestDatabase()
    client = new Client({ connectionString: database.url })
    await client.connect()
  })
  afterEach(async () => {
    await client.end()
    await database.drop()
  })

  test('that is empty is taken, also with an extension in it', async () => {
    await client.query('CREATE EXTENSION pg_stat_statements')
    await expect(checkGivenDatabase('COFFER_DATABASE_URL', database.url)).resolves.toBeUndefined()
  })

  test("that has Coffer's tables is taken", async () => {
    await client.query('CREATE TABLE pgmigrations (); CREATE TABLE organisations (); CREATE TABLE backups ()')
    await expect(checkGivenDatabase('COFFER_DATABASE_URL', database.url)).resolves.toBeUndefined()
  })

  test.each([
    'CREATE TABLE orders ()',
    'CREATE SCHEMA shop; CREATE VIEW shop.orders AS SELECT 1',
    'CREATE TABLE organisations ()',
    'CREATE TABLE pgmigrations ()',
  ])('with something else in it is refused: %s', async (sql) => {
    await client.query(sql)
    const refused = checkGivenDatabase('COFFER_DATABASE_URL', database.url)
    await expect(refused).rejects.toThrow(/^COFFER_DATABASE_URL: .*is not empty and not Coffer's: it has /)
    await expect(refused).rejects.not.toThrow(new URL(database.url).password)
  })

  test.each([
    ['postgres://user:hush-hush@127.0.0.1:1/coffer', /^COFFER_DATABASE_URL: nothing usable answers at /],
    ['postgres:// nonsense hush-hush', /^COFFER_DATABASE_URL: expected an address/],
    ['hush-hush', /^COFFER_DATABASE_URL: expected an address/],
  ])('that cannot be reached is named without its password: %s', async (url, message) => {
    const refused = checkGivenDatabase('COFFER_DATABASE_URL', url)
    await expect(refused).rejects.toThrow(message)
    await expect(refused).rejects.not.toThrow('hush')
  })
})

describe('a given Redis', () => {
  // A Redis of its own: these tests change what all other tests of the run rely on.
  let folder: string
  let services: Services
  let redis: Redis
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'coffer-given-'))
    const env = { PATH: process.env.PATH, COFFER_TEST_DATABASE_URL: process.env.COFFER_TEST_DATABASE_URL }
    services = await ensureServices({ mode: 'test', dataDir: folder, env, log: () => undefined })
    redis = new Redis(services.redisUrl)
  })
  beforeEach(async () => {
    await redis.flushall()
    await redis.config('SET', 'maxmemory-policy', 'noeviction')
  })
  afterAll(async () => {
    redis.disconnect()
    await services.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  const check = (): Promise<void> => checkGivenRedis('COFFER_REDIS_URL', services.redisUrl, isCofferKey)

  test("that is empty, or holds nothing but Coffer's keys, is taken", async () => {
    await expect(check()).resolves.toBeUndefined()
    await redis.mset(Object.fromEntries(Array.from({ length: 5_000 }, (_, n) => [`bull:dump:${n}`, 'x'])))
    await expect(check()).resolves.toBeUndefined()
  })

  test('with one foreign key among thousands of ours is refused, and the key is named', async () => {
    await redis.mset(Object.fromEntries(Array.from({ length: 5_000 }, (_, n) => [`bull:dump:${n}`, 'x'])))
    await redis.set('session:42', 'x')
    await expect(check()).rejects.toThrow(/^COFFER_REDIS_URL: .* such as "session:42"; give it a database number/)
  })

  test('with the queues of another application of BullMQ is refused', async () => {
    await redis.set('bull:emails:meta', 'x')
    await expect(check()).rejects.toThrow('such as "bull:emails:meta"')
  })

  test('that may evict keys is refused, and the policy is named', async () => {
    await redis.config('SET', 'maxmemory-policy', 'allkeys-lru')
    await expect(check()).rejects.toThrow('its maxmemory-policy is allkeys-lru; set it to noeviction')
  })

  test('that wants another password is named without the one that was given', async () => {
    const url = services.redisUrl.replace(/:[^:@]+@/, ':hush-hush@')
    const refused = checkGivenRedis('COFFER_REDIS_URL', url, isCofferKey)
    await expect(refused).rejects.toThrow(/^COFFER_REDIS_URL: nothing usable answers at redis:\/\/127\.0\.0\.1/)
    await expect(refused).rejects.not.toThrow('hush')
  })
})
