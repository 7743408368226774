import { expect, test } from 'vitest'
import { deleteApplication } from '../../shared/catalog/applications.ts'
import { deleteEnvironment, updateEnvironment } from '../../shared/catalog/environments.ts'
import { getPlan, updatePlan } from '../../shared/catalog/plans.ts'
import { dueSchedules, listLiveSchedules } from '../../shared/catalog/schedules.ts'
import { localDate } from '../../shared/domain/local-time.ts'
import type { ScheduleRule } from '../../shared/domain/schedule-rule.ts'
import { fireDueSchedules, fireSchedule } from '../../workers/tick/fire-schedules.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import {
  addPlanned,
  firingAt,
  occurrences,
  openAlerts,
  parts,
  scheduledBackups,
  sealAll,
  turnClock,
} from '../support/schedules.ts'

const SCOPE = { organisationId: null }
const NIGHTLY: ScheduleRule = { name: 'nightly', kind: 'cron', cron: '30 2 * * *' }
const HOUR_MS = 3_600_000
const at = (time: string) => new Date(`${time}Z`)

const scheduleIds = async ({ catalog }: TestCoffer) =>
  (await catalog.query<{ id: string }>('SELECT id FROM schedules WHERE deleted_at IS NULL')).map(({ id }) => id)

test.each([
  ['Europe/Zurich', '2026-03-29', '30 2 * * *'],
  ['Europe/Zurich', '2026-10-25', '30 2 * * *'],
  ['America/New_York', '2026-03-08', '30 2 * * *'],
  ['America/New_York', '2026-11-01', '30 1 * * *'],
  ['Africa/Cairo', '2026-04-24', '0 0 * * *'],
  ['Africa/Cairo', '2026-10-30', '30 23 * * *'],
])('%s, around the DST day %s: a daily schedule makes one backup for each local date', async (timezone, day, cron) => {
  await using coffer = await startTestCoffer()
  const start = new Date(Date.parse(day) - 36 * HOUR_MS)
  await addPlanned(coffer, { rules: [{ ...NIGHTLY, kind: 'cron', cron }], timezone, now: start })
  await turnClock(firingAt(coffer, start), new Date(Date.parse(day) + 60 * HOUR_MS), 15)
  const made = await scheduledBackups(coffer)
  expect(made.map((backup) => backup.bucket_date)).toEqual(made.map(({ due_at }) => localDate(due_at, timezone)))
  const dates = [-1, 0, 1].map((offset) => new Date(Date.parse(day) + offset * 24 * HOUR_MS).toISOString().slice(0, 10))
  const around = made.filter(({ bucket_date }) => dates.includes(bucket_date))
  expect(around.map(({ bucket_date }) => bucket_date)).toEqual(dates)
  expect(made.every(({ late }) => !late)).toBe(true)
})

test('F10 however many bells and reconcilers look at once, a due time makes one backup', async () => {
  await using coffer = await startTestCoffer()
  await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now: at('2026-05-01T12:00') })
  const [id = ''] = await scheduleIds(coffer)
  for (const day of ['02', '03', '04', '05', '06']) {
    const context = firingAt(coffer, at(`2026-05-${day}T02:30`))
    const bells = Array.from({ length: 4 }, () => fireSchedule(context, id))
    const answers = await Promise.all([...bells, fireDueSchedules(context), fireDueSchedules(context)])
    expect(answers.filter((answer) => answer !== null && answer !== 0)).toHaveLength(1)
    expect(await fireSchedule(context, id)).toBeNull()
    await sealAll(coffer, context.clock())
  }
  expect(await scheduledBackups(coffer)).toHaveLength(5)
  expect(await occurrences(coffer)).toHaveLength(5)
})

test.each(['schedules', 'environments'])(
  'while somebody changes one of the %s, firing leaves it for the next look and waits for nobody',
  async (table) => {
    await using coffer = await startTestCoffer()
    await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now: at('2026-05-01T12:00') })
    const context = firingAt(coffer, at('2026-05-02T02:30'))
    const meanwhile = await coffer.catalog.transaction(async (tx) => {
      await tx.query(`UPDATE ${table} SET created_at = created_at`)
      return fireDueSchedules(context)
    })
    expect(meanwhile).toBe(0)
    expect(await fireDueSchedules(context)).toBe(1)
  },
)

test('a due time that was decided once makes no second backup, even when the schedule is put back before it', async () => {
  await using coffer = await startTestCoffer()
  await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now: at('2026-05-01T12:00') })
  const context = firingAt(coffer, at('2026-05-02T02:31'))
  expect(await fireDueSchedules(context)).toBe(1)
  await coffer.catalog.query('UPDATE schedules SET next_due_at = last_due_at')
  expect(await fireDueSchedules(context)).toBe(0)
  expect(await parts(coffer)).toMatchObject([{ state: 'QUEUED', errors: [] }])
  const [schedule] = await coffer.catalog.query('SELECT next_due_at, last_due_at FROM schedules')
  expect(schedule).toEqual({ next_due_at: at('2026-05-03T02:30'), last_due_at: at('2026-05-02T02:30') })
})

test('a backup of a schedule knows it, its due time, the local date of that and its policy class', async () => {
  await using coffer = await startTestCoffer()
  await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'Pacific/Auckland', now: at('2026-05-01T12:00') })
  const context = firingAt(coffer, at('2026-05-01T14:40'))
  await fireDueSchedules(context)
  const [id] = await scheduleIds(coffer)
  expect(await coffer.catalog.query('SELECT * FROM backups')).toMatchObject([
    {
      trigger: 'SCHEDULED',
      policy_class: 'scheduled',
      state: 'QUEUED',
      schedule_id: id,
      due_at: at('2026-05-01T14:30'),
      created_at: at('2026-05-01T14:40'),
      bucket_date: '2026-05-02',
      late: false,
    },
  ])
  expect(await coffer.catalog.query('SELECT queue FROM outbox')).toEqual([{ queue: 'dump' }])
})

test('a deleted environment or application, and a plan without a schedule, fire nothing', async () => {
  await using coffer = await startTestCoffer()
  const now = at('2026-05-01T12:00')
  const gone = await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now, slug: 'gone' })
  const bare = await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now, slug: 'bare' })
  const free = await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now, slug: 'free' })
  await deleteEnvironment(coffer.catalog, gone.id, SCOPE, now)
  await updatePlan(coffer.catalog, bare.planId, { ...(await definition(coffer, bare.planId)), schedules: [] }, now)
  await updateEnvironment(coffer.catalog, free.id, SCOPE, { planId: null }, now)
  expect(await fireDueSchedules(firingAt(coffer, at('2026-05-03T12:00')))).toBe(0)

  await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now, slug: 'kept' })
  const [application] = await coffer.catalog.query<{ id: string }>('SELECT id FROM applications')
  await deleteApplication(coffer.catalog, application?.id ?? '', SCOPE, now)
  expect(await fireDueSchedules(firingAt(coffer, at('2026-05-03T12:00')))).toBe(0)
  expect(await dueSchedules(coffer.catalog, at('2026-05-03T12:00'))).toEqual([])
  expect(await listLiveSchedules(coffer.catalog)).toEqual([])
  expect(await scheduledBackups(coffer)).toEqual([])
})

async function definition({ catalog }: TestCoffer, planId: string) {
  const { slug, name, schedules, retention } = await getPlan(catalog, planId)
  return { slug, name, schedules, retention }
}

test('an environment without a service instance fires nothing, and its due times pass without an alert', async () => {
  await using coffer = await startTestCoffer()
  const { serviceId } = await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now: at('2026-05-01T12:00') })
  await coffer.catalog.query('UPDATE service_instances SET deleted_at = now() WHERE id = $1', [serviceId])
  const context = firingAt(coffer, at('2026-05-04T12:00'))
  expect(await fireDueSchedules(context)).toBe(0)
  await coffer.catalog.query('UPDATE service_instances SET deleted_at = NULL')
  expect(await fireDueSchedules(context)).toBe(0)
  expect(await openAlerts(coffer)).toEqual([])
  expect(await coffer.catalog.query('SELECT next_due_at FROM schedules')).toEqual([
    { next_due_at: at('2026-05-05T02:30') },
  ])
})

test('one schedule that can not be fired does not stop the others', async () => {
  await using coffer = await startTestCoffer()
  const now = at('2026-05-01T12:00')
  await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now, slug: 'broken' })
  await addPlanned(coffer, {
    rules: [{ ...NIGHTLY, kind: 'cron', cron: '40 2 * * *' }],
    timezone: 'UTC',
    now,
    slug: 'fine',
  })
  await coffer.catalog.query(
    `UPDATE schedules SET rule = '{"kind": "cron", "cron": "what"}' WHERE environment_id =
       (SELECT id FROM environments WHERE slug = 'broken')`,
  )
  const context = { ...firingAt(coffer, at('2026-05-02T03:00')) }
  const errors: unknown[] = []
  context.log = Object.assign(Object.create(context.log) as typeof context.log, {
    error: (...line: unknown[]) => void errors.push(line),
  })
  expect(await fireDueSchedules(context)).toBe(1)
  expect(errors).toHaveLength(1)
})

test('editing a plan touches no existing backup, and what has come due before the edit is still fired', async () => {
  await using coffer = await startTestCoffer()
  const { planId } = await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now: at('2026-05-01T12:00') })
  const context = firingAt(coffer, at('2026-05-02T02:30'))
  await fireDueSchedules(context)
  const everything = () =>
    coffer.catalog.query('SELECT * FROM backups b JOIN service_instance_backups s ON s.backup_id = b.id')
  const before = await everything()

  const plan = await definition(coffer, planId)
  const weekly: ScheduleRule = { name: 'weekly', kind: 'cron', cron: '0 5 * * sun' }
  const later: ScheduleRule = { ...NIGHTLY, kind: 'cron', cron: '0 4 * * *' }
  const edit = at('2026-05-03T03:00')
  await updatePlan(coffer.catalog, planId, { ...plan, schedules: [later, weekly] }, edit)
  expect(await everything()).toEqual(before)
  expect(
    await coffer.catalog.query('SELECT name, next_due_at FROM schedules WHERE deleted_at IS NULL ORDER BY name'),
  ).toEqual([
    { name: 'nightly', next_due_at: at('2026-05-03T02:30') },
    { name: 'weekly', next_due_at: at('2026-05-03T05:00') },
  ])
  await sealAll(coffer, edit)
  await turnClock(firingAt(coffer, edit), at('2026-05-04T04:00'), 60)
  expect((await scheduledBackups(coffer)).map(({ due_at }) => due_at)).toEqual(
    ['02T02:30', '03T02:30', '03T04:00', '03T05:00', '04T04:00'].map((time) => at(`2026-05-${time}`)),
  )
  await updatePlan(coffer.catalog, planId, { ...plan, schedules: [] }, at('2026-05-04T05:00'))
  expect(await scheduledBackups(coffer)).toHaveLength(5)
})
