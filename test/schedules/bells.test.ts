import { expect, test } from 'vitest'
import { updatePlan } from '../../shared/catalog/plans.ts'
import { listLiveSchedules, type LiveSchedule } from '../../shared/catalog/schedules.ts'
import { DEFAULT_POLICY } from '../../shared/domain/retention/policy.ts'
import type { ScheduleRule } from '../../shared/domain/schedule-rule.ts'
import { hangBells } from '../../shared/schedules/bells.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { addPlanned, scheduledBackups } from '../support/schedules.ts'
import { until } from '../support/until.ts'

const NIGHTLY: ScheduleRule = { name: 'nightly', kind: 'cron', cron: '30 2 * * *' }
const PLAN = { slug: 'planned', name: 'Planned', schedules: [NIGHTLY], retention: DEFAULT_POLICY }
const now = new Date()

const schedulesOf = (coffer: TestCoffer) => listLiveSchedules(coffer.catalog)
const bellsOf = async ({ queues }: TestCoffer) =>
  (await queues.tick.getJobSchedulers(0, -1)).map(({ key, name, pattern, tz, template }) => ({
    key,
    name,
    pattern,
    tz,
    data: template?.data,
  }))

test('every live schedule has one repeatable job: its id, a name that people read, its cron and zone, and ids only', async () => {
  await using coffer = await startTestCoffer()
  await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'Europe/Zurich', now })
  const [schedule] = await schedulesOf(coffer)
  expect(await hangBells(coffer.queues.tick, await schedulesOf(coffer))).toEqual({
    rehung: 1,
    removed: 0,
    failures: [],
  })
  expect(await bellsOf(coffer)).toEqual([
    {
      key: schedule?.id,
      name: 'planned · shop · nightly',
      pattern: '30 2 * * *',
      tz: 'Europe/Zurich',
      data: { id: schedule?.id, attempt: 0 },
    },
  ])
  expect(await hangBells(coffer.queues.tick, await schedulesOf(coffer))).toEqual({
    rehung: 0,
    removed: 0,
    failures: [],
  })
})

test('a bell rings when the catalog says, also in zones where the queue alone would give up', async () => {
  await using coffer = await startTestCoffer()
  for (const timezone of ['Australia/Lord_Howe', 'Africa/Cairo', 'Antarctica/Troll'])
    await addPlanned(coffer, { rules: [NIGHTLY], timezone, now, slug: timezone.toLowerCase().replaceAll(/[/_]/g, '-') })
  const due = await coffer.catalog.query<{ id: string; next_due_at: Date }>('SELECT id, next_due_at FROM schedules')
  await hangBells(coffer.queues.tick, await schedulesOf(coffer))
  const rings = await coffer.queues.tick.getJobSchedulers(0, -1)
  expect(new Map(rings.map(({ key, next }) => [key, next]))).toEqual(
    new Map(due.map(({ id, next_due_at }) => [id, next_due_at.getTime()])),
  )
})

test('bells follow the catalog: changed ones are replaced, those of deleted schedules go, lost ones come back', async () => {
  await using coffer = await startTestCoffer()
  const { planId } = await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now })
  await hangBells(coffer.queues.tick, await schedulesOf(coffer))

  await updatePlan(
    coffer.catalog,
    planId,
    { ...PLAN, schedules: [{ ...NIGHTLY, kind: 'cron', cron: '45 3 * * *' }] },
    now,
  )
  expect(await hangBells(coffer.queues.tick, await schedulesOf(coffer))).toMatchObject({ rehung: 1, removed: 0 })
  expect(await bellsOf(coffer)).toMatchObject([{ pattern: '45 3 * * *' }])
  for (const change of [`timezone = 'Asia/Tokyo'`, `slug = 'renamed'`]) {
    await coffer.catalog.query(`UPDATE environments SET ${change} WHERE slug = 'planned'`)
    expect(await hangBells(coffer.queues.tick, await schedulesOf(coffer))).toMatchObject({ rehung: 1, removed: 0 })
  }
  expect(await bellsOf(coffer)).toMatchObject([{ name: 'renamed · shop · nightly', tz: 'Asia/Tokyo' }])
  expect(await coffer.queues.tick.getDelayedCount()).toBe(1)

  await coffer.redis.flushdb()
  expect(await hangBells(coffer.queues.tick, await schedulesOf(coffer))).toMatchObject({ rehung: 1, removed: 0 })
  await updatePlan(coffer.catalog, planId, { ...PLAN, schedules: [] }, now)
  expect(await hangBells(coffer.queues.tick, await schedulesOf(coffer))).toMatchObject({ rehung: 0, removed: 1 })
  expect(await bellsOf(coffer)).toEqual([])
  expect(await coffer.queues.tick.getDelayedCount()).toBe(0)
})

test('a bell that has stopped is hung again', async () => {
  await using coffer = await startTestCoffer()
  await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now })
  const [schedule] = await schedulesOf(coffer)
  await hangBells(coffer.queues.tick, await schedulesOf(coffer))
  await coffer.redis.zadd('bull:tick:repeat', Date.now() - 3_600_000, schedule?.id ?? '')
  expect(await hangBells(coffer.queues.tick, await schedulesOf(coffer))).toMatchObject({ rehung: 1 })
})

test('a bell that can not be hung does not stop the others, and is told', async () => {
  await using coffer = await startTestCoffer()
  await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now })
  const [fine] = await schedulesOf(coffer)
  if (!fine) throw new Error('there is a schedule')
  const impossible: LiveSchedule = { ...fine, id: 'a'.repeat(8), environment: { id: fine.id, timezone: 'Mars/Base' } }
  const { failures } = await hangBells(coffer.queues.tick, [impossible, fine])
  expect(failures).toHaveLength(1)
  expect(await bellsOf(coffer)).toMatchObject([{ key: fine.id }])
})

test('more bells than fit on a page are each hung once, and taken down', async () => {
  await using coffer = await startTestCoffer()
  const many = Array.from({ length: 1_203 }, (_, n): LiveSchedule => {
    const id = `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
    return { id, title: `${n}`, rule: NIGHTLY, environment: { id, timezone: 'UTC' } }
  })
  const { tick } = coffer.queues
  expect(await hangBells(tick, many)).toEqual({ rehung: 1_203, removed: 0, failures: [] })
  expect(await hangBells(tick, many)).toEqual({ rehung: 0, removed: 0, failures: [] })
  expect(await hangBells(tick, many.slice(0, 2))).toEqual({ rehung: 0, removed: 1_201, failures: [] })
  expect(await tick.getJobSchedulersCount()).toBe(2)
})

/** Makes the only schedule due, as if its time had come. */
const comesDue = ({ catalog }: TestCoffer) =>
  catalog.query(`UPDATE schedules SET next_due_at = date_trunc('minute', now()) - interval '1 minute'`)

test('a bell makes a worker fire its schedule, long before the reconciler would', async () => {
  await using coffer = await startTestCoffer({ env: { COFFER_RECONCILE_SECONDS: '3600' } })
  await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now })
  const worker = await coffer.worker()
  await worker.line(({ msg }) => msg === 'the bells of schedules were put right')
  await comesDue(coffer)
  const [bell] = await coffer.queues.tick.getDelayed()
  await bell?.promote()
  await worker.line(({ msg }) => msg === 'a scheduled backup was made')
  const [made] = await scheduledBackups(coffer)
  const rung = await until(async () => (await coffer.queues.tick.getCompleted())[0])
  expect(rung.returnvalue).toBe(`backup ${made?.id} was made`)
  expect(await coffer.queues.tick.getDelayedCount()).toBe(1)
})

test('F5 with Redis emptied at any moment, bells are back and what comes due is taken once, by two workers', async () => {
  await using coffer = await startTestCoffer()
  await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now })
  await coffer.worker()
  await coffer.worker()
  const bellsAreBack = () => until(async () => (await bellsOf(coffer)).length === 1)
  await bellsAreBack()

  await coffer.redis.flushdb()
  await comesDue(coffer)
  await until(async () => (await scheduledBackups(coffer)).length > 0)
  await coffer.redis.flushdb()
  await bellsAreBack()
  await coffer.redis.flushdb()
  await bellsAreBack()
  expect(await scheduledBackups(coffer)).toHaveLength(1)
  expect(await coffer.catalog.query('SELECT state FROM occurrences')).toEqual([{ state: 'fired' }])
})
