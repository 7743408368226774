import { createServer, type Server } from 'node:net'
import { once } from 'node:events'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { startTestProducer, type TestProducer } from '../support/producer.ts'

async function createEnvironment(producer: TestProducer): Promise<{ environment: string; services: string[] }> {
  const post = async (resource: string, body: unknown) =>
    (await producer.ask('POST', `/apps/v3/${resource}/`, { body })).body.uuid
  const application = await post('applications', { slug: 'shop' })
  const environment = await post('environments', { application, slug: 'live' })
  const database = { environment, type: 'DATABASE', connection: { url: 'postgres://u:canary-4711@127.0.0.1/shop' } }
  const media = { environment, type: 'STORAGE', connection: { url: `file://${producer.place.mediaRoot}/shop` } }
  return { environment, services: [await post('service-instances', database), await post('service-instances', media)] }
}

test('a backup of all services is made, read, listed, cancelled and queued again', async () => {
  await using producer = await startTestProducer()
  const { environment } = await createEnvironment(producer)
  const made = await producer.ask('POST', '/apps/v3/backups/', { body: { environment, notes: 'before the update' } })
  expect(made.status).toBe(201)
  expect(made.body).toMatchObject({
    environment,
    state: 'QUEUED',
    success: null,
    trigger: 'MANUAL',
    notes: 'before the update',
  })
  expect(made.body.service_instance_backups).toHaveLength(2)
  const { uuid } = made.body
  const one = `/apps/v3/backups/${uuid}/`

  expect((await producer.ask('GET', one)).body).toEqual(made.body)
  const listed = await producer.ask('GET', `/apps/v3/backups/?environment=${environment}&state=QUEUED`)
  expect(listed.body.results).toEqual([made.body])
  expect((await producer.ask('GET', '/apps/v3/backups/?state=COMPLETED')).body.count).toBe(0)
  const parts = await producer.ask('GET', `/apps/v3/service-instance-backups/?backup=${uuid}`)
  expect(parts.body.results.map((part) => part.service_type).sort()).toEqual(['DATABASE', 'STORAGE'])

  expect((await producer.ask('POST', `${one}retry/`)).body).toMatchObject({ status: 409, code: 'CONFLICT' })
  expect((await producer.ask('POST', `${one}cancel/`, { body: {} })).body).toMatchObject({
    state: 'COMPLETED',
    success: 'CANCELLED',
  })
  expect((await producer.ask('POST', `${one}cancel/`)).status).toBe(409)
  expect((await producer.ask('POST', `${one}retry/`)).body).toMatchObject({ success: null })
})

test('what a pulling client of Divio sends is taken: chosen services, a deletion date in an hour', async () => {
  await using producer = await startTestProducer()
  const { environment, services } = await createEnvironment(producer)
  const date = new Date(Date.now() + 3_600_000).toISOString().replace('Z', '000Z')
  const body = {
    environment,
    services: [services[1]],
    trigger: 'MANUAL',
    notes: 'pull',
    scheduled_for_deletion_at: date,
  }
  const made = await producer.ask('POST', '/apps/v3/backups/', { body })
  expect(made.status).toBe(201)
  expect(made.body.service_instance_backups).toHaveLength(1)
  expect(new Date(made.body.scheduled_for_deletion_at)).toEqual(new Date(date))
})

test('a deleted environment takes no new backups and keeps its old ones', async () => {
  await using producer = await startTestProducer()
  const { environment } = await createEnvironment(producer)
  const { uuid } = (await producer.ask('POST', '/apps/v3/backups/', { body: { environment } })).body
  expect((await producer.ask('DELETE', `/apps/v3/environments/${environment}/`)).status).toBe(204)
  expect((await producer.ask('POST', '/apps/v3/backups/', { body: { environment } })).status).toBe(404)
  expect((await producer.ask('GET', `/apps/v3/backups/${uuid}/`)).status).toBe(200)
})

async function silentServer(): Promise<Server> {
  const server = createServer(() => undefined).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

test.each([
  ['refuses connections', () => Promise.resolve(null)],
  ['takes connections and never answers', silentServer],
])('with a Redis that %s a backup is accepted at once and its doorbells wait in the catalog', async (_, start) => {
  const server = await start()
  const address = server?.address()
  const port = typeof address === 'object' && address ? address.port : 1
  await using producer = await startTestProducer({ env: { COFFER_REDIS_URL: `redis://127.0.0.1:${port}` } })
  const { environment } = await createEnvironment(producer)
  const begun = performance.now()
  const made = await producer.ask('POST', '/apps/v3/backups/', { body: { environment } })
  expect(performance.now() - begun).toBeLessThan(1000)
  expect(made.status).toBe(201)
  const [{ count } = { count: 0 }] = await producer.catalog.query<{ count: number }>('SELECT count(*) FROM outbox')
  expect(count).toBe(2)
  const ready = await producer.ask('GET', '/readyz', { token: null })
  expect(ready.status).toBe(503)
  expect(ready.body.checks).toContainEqual({ name: 'redis', ok: false, reason: expect.any(String) as string })
  server?.close()
})

test('a backup rings its doorbells in Redis with ids only', async () => {
  await using producer = await startTestProducer()
  const { environment } = await createEnvironment(producer)
  const made = await producer.ask('POST', '/apps/v3/backups/', { body: { environment, notes: 'canary-note' } })
  const [dumpId, archiveId] = made.body.service_instance_backups as [string, string]
  const redis = new Redis(producer.place.env['COFFER_REDIS_URL'] ?? '')
  try {
    const jobOf = async (id: string) =>
      Object.assign({}, await redis.hgetall(`bull:dump:${id}-1`), await redis.hgetall(`bull:media-archive:${id}-1`))
    await expect.poll(() => jobOf(dumpId), { timeout: 5_000 }).toHaveProperty('data')
    await expect.poll(() => jobOf(archiveId), { timeout: 5_000 }).toHaveProperty('data')
    const job = await jobOf(dumpId)
    expect(JSON.parse(job['data'] ?? '')).toEqual({ id: dumpId, attempt: 1 })
    expect(job['name']).toBe('live · shop · DEFAULT')
    expect(JSON.stringify(job)).not.toMatch(/canary/)
  } finally {
    redis.disconnect()
  }
})
