import { afterAll, beforeAll, expect, test } from 'vitest'
import { plantBackups } from '../support/planted-backups.ts'
import { startTestProducer, type TestProducer } from '../support/producer.ts'
import { expectProblem } from './problems.ts'

let producer: TestProducer
let environment: string
let database: string
let storage: string
beforeAll(async () => {
  producer = await startTestProducer()
  const { uuid: application } = await made('applications', { slug: 'shop' })
  environment = (await made('environments', { application, slug: 'live' })).uuid
})
afterAll(() => producer[Symbol.asyncDispose]())

const made = async (resource: string, body: unknown) =>
  (await producer.ask('POST', `/apps/v3/${resource}/`, { body })).body
const latest = () => producer.ask('GET', `/apps/v3/environments/${environment}/latest/`)
const spoil = (backup: string | undefined, service: string, change: string) =>
  producer.catalog.query(
    `UPDATE service_instance_backups SET ${change} WHERE backup_id = $1 AND service_instance_id = $2`,
    [backup, service],
  )
const list = async (resource: string, query: string) => {
  const { body } = await producer.ask('GET', `/apps/v3/${resource}/?${query}`)
  expect(body.count, query).toBe(body.results.length)
  return body.results.map(({ uuid }) => uuid)
}

test('the newest good backup is told for each service instance and for the whole; where there is none, why', async () => {
  expect((await latest()).body.detail).toBe(`environment ${environment} has no service instance to back up`)
  const connection = { url: 'postgres://u:p@127.0.0.1/a' }
  database = (await made('service-instances', { environment, type: 'DATABASE', connection })).uuid
  const nothing = await latest()
  expectProblem(nothing, 404, 'NOT_FOUND')
  expect(nothing.body.detail).toBe(`environment ${environment} has no good backup`)

  const [first] = await plantBackups(producer.catalog, environment, [9])
  expect((await latest()).body).toMatchObject({
    environment,
    backup: first,
    service_instances: [{ service_instance: database, service_type: 'DATABASE', prefix: 'DEFAULT', backup: first }],
  })

  const media = { url: `file://${producer.place.mediaRoot}/shop` }
  storage = (await made('service-instances', { environment, type: 'STORAGE', connection: media })).uuid
  expect((await latest()).body).toMatchObject({
    backup: null,
    service_instances: [{ backup: first }, { service_type: 'STORAGE', backup: null, service_instance_backup: null }],
  })

  const [whole, half] = await plantBackups(producer.catalog, environment, [5, 4])
  await plantBackups(producer.catalog, environment, [3], { policyClass: 'temporary' })
  for (const change of [
    `success = 'PARTIAL'`,
    `success = 'SUCCESS', lost_at = now()`,
    `lost_at = NULL, corrupt_at = now()`,
    `corrupt_at = NULL, suspect_reason = 'small'`,
  ]) {
    await spoil(half, storage, change)
    expect((await latest()).body, change).toMatchObject({
      backup: whole,
      service_instances: [{ backup: half }, { backup: whole }],
    })
  }
  // What was backed up before a restore is the state that was given up.
  const reclass = (from: string, to: string) =>
    producer.catalog.query('UPDATE backups SET policy_class = $2 WHERE policy_class = $1', [from, to])
  await reclass('temporary', 'safety')
  expect((await latest()).body).toMatchObject({ backup: whole })
  await reclass('safety', 'temporary')
  await spoil(half, storage, 'suspect_cleared_at = now()')
  expect((await latest()).body).toMatchObject({ backup: half })
})

test('backups and service-instance backups are filtered by how they went, when, why, of what and with which label', async () => {
  const [oldest, whole, half, temporary] = (await list('backups', `environment=${environment}`)).reverse()
  await spoil(whole, storage, `success = 'FAILURE'`)
  await spoil(whole, database, `label = 'weekly'`)
  await producer.catalog.query(`UPDATE backups SET success = 'PARTIAL' WHERE id = $1`, [whole])
  const days = (count: number) => encodeURIComponent(new Date(Date.now() - count * 86_400_000).toISOString())

  expect(await list('backups', 'success=PARTIAL')).toEqual([whole])
  expect(await list('backups', 'trigger=MANUAL')).toEqual([temporary])
  expect(await list('backups', 'label=weekly')).toEqual([whole])
  expect(await list('backups', 'label=weekly&service_type=STORAGE')).toEqual([])
  expect(await list('backups', 'service_type=STORAGE')).toEqual([temporary, half, whole])
  expect(await list('backups', `created_after=${days(4.5)}`)).toEqual([temporary, half])
  expect(await list('backups', `created_before=${days(4.5)}&state=COMPLETED`)).toEqual([whole, oldest])

  const parts = 'service-instance-backups'
  expect(await list(parts, 'success=FAILURE&service_type=STORAGE')).toHaveLength(1)
  expect(await list(parts, `backup=${whole ?? ''}&success=SUCCESS&label=weekly&state=COMPLETED`)).toHaveLength(1)
  expect(await list(parts, `trigger=MANUAL`)).toHaveLength(2)
  expect(await list(parts, `created_after=${days(4.5)}&created_before=${days(3.5)}`)).toHaveLength(2)
  for (const query of [
    'success=GOOD',
    'trigger=ME',
    'service_type=CACHE',
    'created_after=2026-01-01',
    'label=a&label=b',
  ])
    for (const resource of ['backups', parts])
      expectProblem(await producer.ask('GET', `/apps/v3/${resource}/?${query}`), 422, 'REQUEST_INVALID')
})

test('a count goes no further than 10,000, and the pages beyond it are all there', async () => {
  await producer.catalog.query(
    `INSERT INTO backups (id, environment_id, state, success, trigger, policy_class, bucket_date, created_at)
     SELECT gen_random_uuid(), $1, 'DELETED', 'FAILURE', 'MANUAL', 'on_demand', now()::date, now() FROM generate_series(1, 12000)`,
    [environment],
  )
  const page = async (query: string) => (await producer.ask('GET', `/apps/v3/backups/?state=DELETED&${query}`)).body
  expect(await page('page_size=10')).toMatchObject({ count: 10_000, next: expect.any(String) as string })
  const eleventh = await page('page_size=1000&page=11')
  expect(eleventh).toMatchObject({ count: 11_001, next: expect.stringContaining('page=12') as string })
  const last = await page('page_size=1000&page=12')
  expect([last.count, last.next, last.results.length]).toEqual([12_000, null, 1000])
})
