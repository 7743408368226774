import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { startTestProducer } from '../support/producer.ts'
import { testRedisUrl } from '../support/redis.ts'

test('the status counts the jobs of every queue', async () => {
  const redis = new Redis(testRedisUrl())
  await redis.flushdb()
  redis.disconnect()
  await using producer = await startTestProducer()
  const { body } = await producer.ask('GET', '/apps/v3/status/')
  const none = { waiting: 0, active: 0, delayed: 0, failed: 0 }
  expect(body['queues']).toEqual({
    dump: none,
    'media-archive': none,
    prune: none,
    restore: none,
    transfer: none,
    verify: none,
    tick: none,
    notify: none,
  })
})

test('without Redis the status still says who is overdue', async () => {
  await using producer = await startTestProducer({ env: { COFFER_REDIS_URL: 'redis://127.0.0.1:1' } })
  const { status, body } = await producer.ask('GET', '/apps/v3/status/')
  expect([status, body]).toMatchObject([200, { overdue: { count: 0 }, alerts: { count: 0 }, queues: null }])
})
