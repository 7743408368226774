import { Redis } from 'ioredis'
import { Client } from 'pg'
import { expect, test } from 'vitest'
import { createTestDatabase } from '../support/databases.ts'

test('every run has a PostgreSQL on which databases come and go', async () => {
  const database = await createTestDatabase()
  const client = new Client({ connectionString: database.url })
  await client.connect()
  const { rows } = await client.query<{ name: string; super: string }>(
    `SELECT current_database() AS name, current_setting('is_superuser') AS super`,
  )
  expect(rows).toEqual([{ name: database.name, super: 'on' }])
  await client.end()
  await database.drop()
  await database.drop()
  await expect(new Client({ connectionString: database.url }).connect()).rejects.toThrow('does not exist')
})

test('every run has a Redis that evicts nothing and asks for a password', async () => {
  const url = process.env.COFFER_TEST_REDIS_URL ?? ''
  const redis = new Redis(url)
  expect(await redis.info('memory')).toContain('maxmemory_policy:noeviction')
  redis.disconnect()
  const stranger = new Redis(url.replace(/:[^:@]+@/, ''), { retryStrategy: () => null, enableReadyCheck: false })
  stranger.on('error', () => undefined)
  await expect(stranger.ping()).rejects.toThrow('NOAUTH')
  stranger.disconnect()
})
