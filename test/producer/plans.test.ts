import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { DEFAULT_POLICY } from '../../shared/domain/retention/policy.ts'
import { plantBackups } from '../support/planted-backups.ts'
import { startTestProducer, type Answer, type TestProducer } from '../support/producer.ts'
import { expectProblem } from './problems.ts'

const NIGHTLY = { name: 'nightly', kind: 'daily', from: '01:00', until: '05:00' }
const FEWER = {
  ...DEFAULT_POLICY,
  scheduled: { tiers: [{ label: 'daily', per: 'day', keep: 2 }] },
}

let producer: TestProducer
let environment: string
let plan: string
let ages: number[]

beforeAll(async () => {
  producer = await startTestProducer()
})
afterAll(() => producer[Symbol.asyncDispose]())

beforeEach(async () => {
  plan = (await made('plans', { slug: `own-${randomUUID()}`, schedules: [NIGHTLY] })).uuid
  const { uuid: application } = await made('applications', { slug: `shop-${randomUUID()}` })
  environment = (await made('environments', { application, slug: 'live', plan })).uuid
  await made('service-instances', { environment, type: 'DATABASE', connection: { url: 'postgres://u:p@127.0.0.1/a' } })
  ages = [0, 1, 2, 3, 4]
  await plantBackups(producer.catalog, environment, ages)
})

const post = (resource: string, body: unknown) => producer.ask('POST', `/apps/v3/${resource}/`, { body })
const patch = (path: string, body: unknown) => producer.ask('PATCH', `/apps/v3/${path}/`, { body })

async function made(resource: string, body: unknown): Promise<Answer['body']> {
  const answer = await post(resource, body)
  expect(answer.status, answer.text).toBe(201)
  return answer.body
}

const get = async (path: string) => (await producer.ask('GET', `/apps/v3/${path}`)).body
const schedulesOf = async (id: string) => (await get(`schedules/?environment=${id}`)).results

test('a plan is made with what is usual, read, changed field by field and deleted when nobody uses it', async () => {
  const own = await made('plans', { slug: 'weekly-only' })
  expect(own).toMatchObject({
    slug: 'weekly-only',
    name: 'weekly-only',
    schedules: [],
    retention: DEFAULT_POLICY,
    expected_within_hours: null,
    is_shipped: false,
  })
  const path = `plans/${own.uuid}`
  const weekly = { name: 'sunday', kind: 'weekly', day: 'sunday', from: '23:00', until: '01:00' }
  expect((await patch(path, { schedules: [weekly], expected_within_hours: 200 })).body).toMatchObject({
    name: 'weekly-only',
    schedules: [weekly],
    expected_within_hours: 200,
  })
  expect((await patch(path, { name: 'W' })).body).toMatchObject({ name: 'W', expected_within_hours: 200 })
  expect((await patch(path, { expected_within_hours: null })).body).toMatchObject({ expected_within_hours: null })
  expect((await get(`plans/?slug=weekly-only`)).results).toEqual([await get(`${path}/`)])
  expectProblem(await post('plans', { slug: 'weekly-only' }), 409, 'CONFLICT')
  expect((await producer.ask('DELETE', `/apps/v3/${path}/`)).status).toBe(204)
  expectProblem(await producer.ask('GET', `/apps/v3/${path}/`), 404, 'NOT_FOUND')
})

test('a plan that an environment has, and a shipped one, cannot be deleted', async () => {
  const shipped = (await get('plans/?slug=default')).results[0]?.uuid ?? ''
  for (const id of [plan, shipped])
    expectProblem(await producer.ask('DELETE', `/apps/v3/plans/${id}/`), 409, 'CONFLICT')
})

test('the schedules of an environment follow its plan, and the plan that it gets', async () => {
  expect(await schedulesOf(environment)).toMatchObject([
    { name: 'nightly', environment, rule: NIGHTLY, timezone: 'UTC' },
  ])
  await patch(`plans/${plan}`, { schedules: [NIGHTLY, { name: 'noon', kind: 'cron', cron: '0 12 * * *' }] })
  const names = (await schedulesOf(environment)).map(({ name }) => name)
  expect(names.sort()).toEqual(['nightly', 'noon'])
  expect((await patch(`environments/${environment}`, { plan: null })).body).toMatchObject({ plan: null })
  expect(await schedulesOf(environment)).toEqual([])
})

const tier = (changes: object) => ({ label: 'daily', per: 'day', keep: 7, ...changes })
const keeping = (...tiers: object[]) => ({ retention: { ...DEFAULT_POLICY, scheduled: { tiers } } })
const cron = (text: string) => ({ schedules: [{ name: 'n', kind: 'cron', cron: text }] })
const TIERS = 'retention.scheduled.tiers'

test.each<[string, object, string, RegExp]>([
  ['a cron with too few fields', cron('0 3 * *'), 'schedules.0.cron', /must be five fields/],
  ['a cron that is none', cron('61 3 * * *'), 'schedules.0.cron', /61/],
  ['a cron that never comes due', cron('0 3 30 2 *'), 'schedules.0.cron', /never comes due/],
  ['a cron with seconds', cron('0 0 3 * * *'), 'schedules.0.cron', /must be five fields/],
  ['an empty window', { schedules: [{ ...NIGHTLY, until: '01:00' }] }, 'schedules.0.until', /window would be empty/],
  ['a time that is none', { schedules: [{ ...NIGHTLY, from: '24:00' }] }, 'schedules.0.from', /00:00 to 23:59/],
  ['an unknown kind', { schedules: [{ ...NIGHTLY, kind: 'nightly' }] }, 'schedules.0.kind', /cron, daily or weekly/],
  ['an unknown day', { schedules: [{ ...NIGHTLY, kind: 'weekly', day: 'Sun' }] }, 'schedules.0.day', /one of sunday/],
  ['a schedule twice', { schedules: [NIGHTLY, NIGHTLY] }, 'schedules.1.name', /used twice/],
  ['a negative count', keeping(tier({ keep: -1 })), `${TIERS}.0.keep`, /1/],
  ['a count of nothing', keeping(tier({ keep: 0 })), `${TIERS}.0.keep`, /1/],
  ['a missing count', keeping({ label: 'daily', per: 'day' }), `${TIERS}.0.keep`, /./],
  ['no tiers', keeping(), TIERS, /at least one tier/],
  ['a label twice', keeping(tier({}), tier({ per: 'week' })), `${TIERS}.1.label`, /used twice/],
  ['a period twice', keeping(tier({}), tier({ label: 'again' })), `${TIERS}.1.per`, /not coarser/],
  ['tiers from coarse to fine', keeping(tier({ per: 'week' }), tier({ label: 'fine' })), `${TIERS}.1.per`, /coarser/],
  ['an unknown period', keeping(tier({ per: 'fortnight' })), `${TIERS}.0.per`, /./],
  ['a policy typo', { retention: { ...DEFAULT_POLICY, on_demnad: {} } }, 'retention.on_demnad', /not known/],
  ['half a policy', { retention: { scheduled: DEFAULT_POLICY.scheduled } }, 'retention.on_demand', /./],
  ['an empty policy', { retention: {} }, 'retention.scheduled', /./],
  [
    'a negative age',
    { retention: { ...DEFAULT_POLICY, on_demand: { keep_days: -1, keep_newest: 3 } } },
    'retention.on_demand.keep_days',
    /./,
  ],
  [
    'a rule that keeps nothing',
    { retention: { ...DEFAULT_POLICY, on_demand: { keep_days: 0, keep_newest: 0 } } },
    'retention.on_demand',
    /keep nothing/,
  ],
  ['an impossible expectation', { expected_within_hours: 0 }, 'expected_within_hours', /at least 1/],
  ['a digest that is none', { confirm: 'yes' }, 'confirm', /digest of an earlier refusal/],
])(
  '%s is refused with its field and the reason, and changes and deletes nothing',
  async (_what, change, field, reason) => {
    const before = await get(`plans/${plan}/`)
    const answer = await patch(`plans/${plan}`, change)
    expectProblem(answer, 422, 'REQUEST_INVALID')
    expect(answer.body.errors.find((error) => error.field === field)?.message, answer.text).toMatch(reason)
    expect(await get(`plans/${plan}/`)).toEqual(before)
    expect((await get(`backups/?environment=${environment}&state=COMPLETED`)).count).toBe(ages.length)
    if (!('confirm' in change))
      expectProblem(await post('plans', { slug: `new-${randomUUID()}`, ...change }), 422, 'REQUEST_INVALID')
  },
)

test('an unknown time zone is refused with its field, and the schedules stay', async () => {
  const before = await schedulesOf(environment)
  const answer = await patch(`environments/${environment}`, { timezone: 'Europe/Zürich' })
  expectProblem(answer, 422, 'REQUEST_INVALID')
  expect(answer.body.errors).toEqual([
    { field: 'timezone', message: expect.stringContaining('IANA time zone') as string },
  ])
  expect(await schedulesOf(environment)).toEqual(before)
})

interface Wanted {
  digest: string
  would_delete: { at: string; environment: string; reason: string }[]
}

const wantedBy = ({ body }: Answer) => body as unknown as Wanted
const daysAgo = (age: number) => expect.closeTo(Date.now() - age * 86_400_000, -5) as number

test('a plan that would delete more is refused with what would go, until exactly that is confirmed', async () => {
  const refused = await patch(`plans/${plan}`, { retention: FEWER })
  expectProblem(refused, 409, 'CONFIRMATION_REQUIRED')
  const { digest, would_delete: going } = wantedBy(refused)
  expect(going.map(({ at }) => Date.parse(at))).toEqual([daysAgo(2), daysAgo(3), daysAgo(4)])
  expect(going[0]).toMatchObject({ environment, reason: 'Newer ones take all places that are daily (2).' })

  const other = { ...FEWER, scheduled: { tiers: [{ label: 'daily', per: 'day', keep: 1 }] } }
  expectProblem(await patch(`plans/${plan}`, { retention: other, confirm: digest }), 409, 'CONFIRMATION_REQUIRED')
  expect((await get(`plans/${plan}/`))['retention']).toEqual(DEFAULT_POLICY)

  await plantBackups(producer.catalog, environment, [5])
  const stale = await patch(`plans/${plan}`, { retention: FEWER, confirm: digest })
  expectProblem(stale, 409, 'CONFIRMATION_REQUIRED')
  const confirmed = await patch(`plans/${plan}`, { retention: FEWER, confirm: wantedBy(stale).digest })
  expect([confirmed.status, confirmed.body['retention']]).toEqual([200, FEWER])
})

test('a plan that deletes no more than today needs no confirmation', async () => {
  const more = { ...DEFAULT_POLICY, scheduled: { tiers: [{ label: 'daily', per: 'day', keep: 30 }] } }
  expect((await patch(`plans/${plan}`, { retention: more, name: 'More' })).status).toBe(200)
  expect((await patch(`plans/${plan}`, { schedules: [] })).status).toBe(200)
})

test('an environment that gets a plan which deletes more is refused, until it is confirmed', async () => {
  const strict = (await made('plans', { slug: `strict-${randomUUID()}`, retention: FEWER })).uuid
  const refused = await patch(`environments/${environment}`, { plan: strict, slug: 'renamed' })
  expectProblem(refused, 409, 'CONFIRMATION_REQUIRED')
  expect(wantedBy(refused).would_delete).toHaveLength(3)
  expect(await get(`environments/${environment}/`)).toMatchObject({ plan, slug: 'live' })
  const confirm = wantedBy(refused).digest
  expect((await patch(`environments/${environment}`, { plan: strict, confirm })).body).toMatchObject({ plan: strict })
})
