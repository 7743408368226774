import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestProducer, type Ask, type TestProducer } from '../support/producer.ts'
import { until } from '../support/until.ts'
import { expectProblem } from './problems.ts'
import { createTenant, name, type Tenant } from './tenant.ts'

let producer: TestProducer
let tenant: Tenant
let time = Date.now()
beforeAll(async () => {
  producer = await startTestProducer({ clock: () => new Date(time) })
  tenant = await createTenant(producer)
})
afterAll(() => producer[Symbol.asyncDispose]())

const post = (resource: string, key: string, body: object, ask: Ask = {}) =>
  producer.ask('POST', `/apps/v3/${resource}/`, { ...ask, body, headers: { 'idempotency-key': key } })

const backups = async () =>
  (await producer.ask('GET', `/apps/v3/backups/?environment=${tenant.environment}`)).body.count

test.each([
  ['backups', () => ({ environment: tenant.environment })],
  ['backup-downloads', () => ({ backup: tenant.backup })],
  [
    'backup-restores',
    () => ({ backup: tenant.backup, service_instance_restores: [{ service_instance_backup: tenant.part }] }),
  ],
  ['applications', () => ({ slug: name('app') })],
])('POST %s sent again with its key gets the first answer, and nothing is made twice', async (resource, body) => {
  const [key, sent] = [randomUUID(), body()]
  const first = await post(resource, key, sent)
  // The same body in another order is the same body.
  const again = await post(resource, key, Object.fromEntries(Object.entries(sent).reverse()))
  expect([first.status, again.status, again.text]).toEqual([201, 201, first.text])
  expect([first, again].map(({ headers }) => headers.get('idempotency-replayed'))).toEqual([null, 'true'])
  const lines = await producer.ask('GET', `/apps/v3/audit/?target=${first.body.uuid}`)
  expect(lines.body.count).toBe(1)
})

test('fifty at once make one; those that come while it is under way are told so, and the others get its answer', async () => {
  const before = await backups()
  const key = randomUUID()
  const answers = await Promise.all(
    Array.from({ length: 50 }, () => post('backups', key, { environment: tenant.environment })),
  )
  expect(await backups()).toBe(before + 1)
  const made = answers.filter(({ status }) => status === 201)
  expect(new Set(made.map(({ body }) => body.uuid)).size).toBe(1)
  for (const answer of answers.filter(({ status }) => status !== 201))
    expectProblem(answer, 409, 'IDEMPOTENCY_KEY_BUSY')
  expect((await post('backups', key, { environment: tenant.environment })).body.uuid).toBe(made[0]?.body.uuid)
})

test('a key that is under way is a 409 at once, and the request behind it ends as it would have', async () => {
  const locked = Promise.withResolvers<undefined>()
  const release = Promise.withResolvers<undefined>()
  const holder = producer.catalog.transaction(async (tx) => {
    await tx.query('SELECT 1 FROM environments WHERE id = $1 FOR UPDATE', [tenant.environment])
    locked.resolve(undefined)
    await release.promise
  })
  await locked.promise
  const key = randomUUID()
  const body = { environment: tenant.environment }
  const first = post('backups', key, body)
  // Sent at once, the second request could overtake the first, and wait in its place.
  await until(async () => {
    const waiting = await producer.catalog.query(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    )
    return waiting.length > 0
  })
  expectProblem(await post('backups', key, body), 409, 'IDEMPOTENCY_KEY_BUSY')
  release.resolve(undefined)
  await holder
  expect((await first).status).toBe(201)
})

test('a key belongs to its token and its request', async () => {
  const [key, slug] = [randomUUID(), name('app')]
  expect((await post('applications', key, { slug })).status).toBe(201)
  expectProblem(await post('applications', key, { slug: name('app') }), 422, 'IDEMPOTENCY_KEY_REUSED')
  expectProblem(await post('plans', key, { slug }), 422, 'IDEMPOTENCY_KEY_REUSED')
  const other = await producer.createToken('admin', tenant.organisation)
  expect((await post('applications', key, { slug }, { token: other })).headers.get('idempotency-replayed')).toBeNull()
})

test('a request that failed keeps no answer: it may be sent again with its key', async () => {
  const [key, slug] = [randomUUID(), name('app')]
  const { uuid } = (await post('applications', randomUUID(), { slug })).body
  expectProblem(await post('applications', key, { slug }), 409, 'CONFLICT')
  await producer.ask('DELETE', `/apps/v3/applications/${uuid}/`)
  expect((await post('applications', key, { slug })).status).toBe(201)
})

test('an answer is kept for a day, encrypted, and then forgotten', async () => {
  const [key, body] = [randomUUID(), { environment: tenant.environment, notes: 'canary-of-a-note' }]
  const first = await post('backups', key, body)
  const kept = async () =>
    producer.catalog.query<{ body: Buffer }>('SELECT body FROM idempotency_keys WHERE key = $1', [key])
  const [row] = await kept()
  expect(row?.body.includes('canary-of-a-note')).toBe(false)
  time += 86_399_000
  expect((await post('backups', key, body)).body.uuid).toBe(first.body.uuid)
  time += 2_000
  await post('backups', randomUUID(), body)
  expect(await kept()).toEqual([])
  expect((await post('backups', key, body)).body.uuid).not.toBe(first.body.uuid)
})

test('a token is made anew for each request, since its text is kept nowhere; a malformed key is refused', async () => {
  const key = randomUUID()
  const mint = () => post('tokens', key, { name: 'ci', role: 'viewer' })
  expect((await mint()).body['token']).not.toBe((await mint()).body['token'])
  for (const bad of ['two words', 'x'.repeat(256), 'é'])
    expectProblem(await post('applications', bad, { slug: name('app') }), 422, 'REQUEST_INVALID')
})
