import { randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { stopPruning } from '../../shared/catalog/pruning.ts'
import { plantBackups } from '../support/planted-backups.ts'
import { startTestProducer, type TestProducer } from '../support/producer.ts'
import { expectProblem } from './problems.ts'

const HOUR_MS = 3_600_000

let producer: TestProducer
let environment: string
let older: string
let newest: string

beforeAll(async () => {
  producer = await startTestProducer()
})
afterAll(() => producer[Symbol.asyncDispose]())

beforeEach(async () => {
  const made = async (resource: string, body: unknown) => (await post(resource, body)).body.uuid
  const application = await made('applications', { slug: `shop-${randomUUID()}` })
  environment = await made('environments', { application, slug: 'live' })
  await made('service-instances', { environment, type: 'DATABASE', connection: { url: 'postgres://u:p@127.0.0.1/a' } })
  const [first = '', second = ''] = await plantBackups(producer.catalog, environment, [2, 1])
  older = first
  newest = second
})

const post = (path: string, body?: unknown) => producer.ask('POST', `/apps/v3/${path}/`, { body })
const patch = (path: string, body: unknown) => producer.ask('PATCH', `/apps/v3/${path}/`, { body })
const get = async (path: string) => (await producer.ask('GET', `/apps/v3/${path}`)).body

test('a hold says who, why and since when, refuses deletion, and ends with its release', async () => {
  const token = await producer.createToken('operator')
  const held = await producer.ask('POST', `/apps/v3/backups/${older}/hold/`, { token, body: { reason: ' an audit ' } })
  expect(held.status).toBe(200)
  expect(held.body).toMatchObject({ hold: { reason: 'an audit', by: 'operator of a test' } })
  expect(await get(`backups/${older}/`)).toEqual(held.body)
  expectProblem(await post(`backups/${older}/delete`, { reason: 'space' }), 409, 'HELD')
  const force = { reason: 'space', force: true }
  expectProblem(await post(`backups/${older}/delete`, force), 409, 'HELD')
  expect((await post(`backups/${older}/release`)).body).toMatchObject({ hold: null })
  expect((await post(`backups/${older}/delete`, { reason: 'space' })).status).toBe(200)
})

test('the size of a backup can be acknowledged', async () => {
  expect((await post(`backups/${older}/acknowledge`)).body).toMatchObject({ uuid: older })
  expectProblem(await post('backups/00000000-0000-4000-8000-000000000000/acknowledge'), 404, 'NOT_FOUND')
})

test('a deletion can be undone for a day, and the newest good one is deleted by force only', async () => {
  const deleted = await post(`backups/${older}/delete`, { reason: 'wrong shop' })
  expect(deleted.body).toMatchObject({ state: 'COMPLETED', delete_reason: 'wrong shop' })
  const hours = (Date.parse(String(deleted.body['delete_after'])) - Date.now()) / HOUR_MS
  expect(hours).toBeCloseTo(24, 1)
  expect((await post(`backups/${older}/undelete`)).body).toMatchObject({ delete_after: null, delete_reason: null })
  expectProblem(await post(`backups/${older}/undelete`), 409, 'CONFLICT')

  const refused = await post(`backups/${newest}/delete`, { reason: 'wrong shop' })
  expectProblem(refused, 409, 'GUARD_REFUSED')
  expect(refused.body.detail).toContain('the newest good one of DEFAULT (DATABASE)')
  expect((await post(`backups/${newest}/delete`, { reason: 'wrong shop', force: true })).status).toBe(200)
})

test('notes and a deletion date are changed, each alone', async () => {
  const date = new Date(Date.now() + HOUR_MS).toISOString()
  const path = `backups/${older}`
  expect((await patch(path, { scheduled_for_deletion_at: date })).body).toMatchObject({
    scheduled_for_deletion_at: date,
  })
  expect((await patch(path, { notes: 'why' })).body).toMatchObject({ notes: 'why', scheduled_for_deletion_at: date })
  expect((await patch(path, { scheduled_for_deletion_at: null })).body).toMatchObject({
    notes: 'why',
    scheduled_for_deletion_at: null,
  })
})

test.each<[string, string, unknown, string]>([
  ['POST', 'hold', {}, 'reason'],
  ['POST', 'hold', { reason: ' ' }, 'reason'],
  ['POST', 'hold', { reason: 'x'.repeat(501) }, 'reason'],
  ['POST', 'delete', {}, 'reason'],
  ['POST', 'delete', { reason: 'a\u001bb' }, 'reason'],
  ['POST', 'delete', { reason: 'x', force: 'yes' }, 'force'],
  ['POST', 'release', { reason: 'x' }, 'reason'],
  ['POST', 'undelete', { force: true }, 'force'],
  ['PATCH', '', { scheduled_for_deletion_at: '2001-01-01T00:00:00Z' }, 'scheduled_for_deletion_at'],
  ['PATCH', '', { delete_after: null }, 'delete_after'],
])('%s backups/…/%s with %j is refused for %s, and the backup stays as it is', async (method, verb, body, field) => {
  const before = await get(`backups/${older}/`)
  const answer = await producer.ask(method, `/apps/v3/backups/${older}/${verb}`, { body })
  expectProblem(answer, 422, 'REQUEST_INVALID')
  expect(answer.body.errors.map((error) => error.field)).toEqual([field])
  expect(await get(`backups/${older}/`)).toEqual(before)
})

test('pruning that a guard has stopped is shown, with its alert, until an admin resumes it', async () => {
  expectProblem(await post(`environments/${environment}/resume-pruning`), 409, 'CONFLICT')
  await stopPruning(producer.catalog, environment, 'the clock has jumped', new Date())
  expect(await get(`environments/${environment}/`)).toMatchObject({
    pruning_stopped: { reason: 'the clock has jumped' },
  })
  const alert = { kind: 'prune-stopped', environment, message: 'pruning has stopped: the clock has jumped' }
  expect(await get('status/')).toMatchObject({ alerts: { count: 1, results: [alert] } })
  expect((await post(`environments/${environment}/resume-pruning`)).body).toMatchObject({ pruning_stopped: null })
  expect(await get('status/')).toMatchObject({ alerts: { count: 0, results: [] } })
})

interface Line {
  backup: string | null
  action: string
  label: string | null
  reason: string
}
interface Preview {
  service_instances: { today: Line[]; kept: Line[]; going: Line[]; counts: Record<string, number> }[]
}
const preview = async (query: string) =>
  (await get(`retention-preview/?environment=${environment}${query}`)) as unknown as Preview

test('a preview says of each backup what becomes of it and why, now and after so many days, and changes nothing', async () => {
  const before = await get(`backups/?environment=${environment}`)
  const now = await preview('')
  expect(now.service_instances[0]?.today).toMatchObject([
    {
      backup: newest,
      action: 'keep',
      label: 'daily',
      reason: expect.stringMatching(/^It becomes the daily/) as string,
    },
    { backup: older, action: 'keep', label: 'daily' },
  ])
  const later = await preview('&days=400')
  expect(later.service_instances[0]?.counts).toEqual({ daily: 7, weekly: 4, monthly: 12 })
  expect(later.service_instances[0]?.kept).toHaveLength(23)
  expect(await get(`backups/?environment=${environment}`)).toEqual(before)
})

test('a preview by another plan tells what that would delete', async () => {
  const retention = {
    scheduled: { tiers: [{ label: 'daily', per: 'day', keep: 1 }] },
    on_demand: { keep_days: 1, keep_newest: 1 },
    safety: { keep_days: 1, keep_newest: 1 },
  }
  const { uuid: plan } = (await post('plans', { slug: `one-${randomUUID()}`, retention })).body
  const [instance] = (await preview(`&plan=${plan}`)).service_instances
  expect(instance?.today.map(({ backup, action }) => [backup, action])).toEqual([
    [newest, 'keep'],
    [older, 'delete'],
  ])
})

test('a preview by another plan looks ahead by the schedules of that one', async () => {
  const plans = await get('plans/')
  const counts = async (slug: string) => {
    const plan = plans.results.find((one) => one.slug === slug)?.uuid ?? ''
    return (await preview(`&plan=${plan}&days=40`)).service_instances[0]?.counts
  }
  expect(await counts('hourly')).toMatchObject({ hourly: 24, daily: 7 })
  expect(await counts('none')).toEqual({ daily: 2 })
})

test.each([
  ['', 'environment'],
  ['environment=shop', 'environment'],
  [`environment=${randomUUID()}&days=-1`, 'days'],
  [`environment=${randomUUID()}&days=1001`, 'days'],
  [`environment=${randomUUID()}&days=1&days=2`, 'days'],
  [`environment=${randomUUID()}&plans=x`, 'plans'],
])('a preview asked for with "%s" is refused for %s', async (query, field) => {
  const answer = await producer.ask('GET', `/apps/v3/retention-preview/?${query}`)
  expectProblem(answer, 422, 'REQUEST_INVALID')
  expect(answer.body.errors.map((error) => error.field)).toEqual([field])
})

test('a check of a store names what nobody owns, and what is lost with an alert', async () => {
  await mkdir(join(producer.place.storeFolder, 'strange'))
  await writeFile(join(producer.place.storeFolder, 'strange/object'), 'x')
  const store = (await get('stores/')).results[0]?.uuid ?? ''
  const [part] = (await get(`service-instance-backups/?backup=${older}`)).results
  await producer.catalog.query(
    `UPDATE service_instance_backups SET store_id = $2, key_prefix = 'gone/' WHERE id = $1`,
    [part?.uuid, store],
  )
  const { status, body } = await post(`stores/${store}/check`)
  expect([status, body]).toMatchObject([
    200,
    { store, objects: 1, backups: 1, unowned: ['strange/object'], unowned_count: 1, found: [] },
  ])
  expect(body['lost']).toEqual([{ service_instance_backup: part?.uuid, environment, missing: ['gone/manifest.json'] }])
  expect(await get('status/')).toMatchObject({ alerts: { count: 1, results: [{ kind: 'lost', subject: part?.uuid }] } })
  expectProblem(await post(`stores/${randomUUID()}/check`), 404, 'NOT_FOUND')
  expectProblem(await post('stores/default/check'), 404, 'NOT_FOUND')
})
