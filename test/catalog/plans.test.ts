import { expect, test } from 'vitest'
import { deleteEnvironment, updateEnvironment } from '../../shared/catalog/environments.ts'
import { overdue, syncOverdueAlerts } from '../../shared/catalog/overdue.ts'
import {
  createPlan,
  deletePlan,
  ensureShippedPlans,
  getPlan,
  listPlans,
  policyOf,
  updatePlan,
} from '../../shared/catalog/plans.ts'
import { listSchedules } from '../../shared/catalog/schedules.ts'
import type { PlanDefinition } from '../../shared/domain/plan.ts'
import { DEFAULT_POLICY } from '../../shared/domain/retention/policy.ts'
import type { ScheduleRule } from '../../shared/domain/schedule-rule.ts'
import { SHIPPED_PLANS } from '../../shared/domain/shipped-plans.ts'
import { fireDueSchedules } from '../../workers/tick/fire-schedules.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { addPlanned, firingAt, sealAll } from '../support/schedules.ts'

const SCOPE = { organisationId: null }
const PAGE = { limit: 100, offset: 0 }
const NIGHTLY: ScheduleRule = { name: 'nightly', kind: 'cron', cron: '30 2 * * *' }
const PLAN: PlanDefinition = { slug: 'gold', name: 'Gold', schedules: [NIGHTLY], retention: DEFAULT_POLICY }
const at = (time: string) => new Date(`${time}Z`)
const NOON = at('2026-05-01T12:00')

const schedulesOf = async ({ catalog }: TestCoffer, environmentId: string) =>
  (await listSchedules(catalog, { scope: SCOPE, environmentId, page: PAGE })).rows

test('the shipped plans are made once; what an operator makes of them stays', async () => {
  await using coffer = await startTestCoffer()
  await Promise.all([ensureShippedPlans(coffer.catalog, NOON), ensureShippedPlans(coffer.catalog, NOON)])
  const { rows, count } = await listPlans(coffer.catalog, { page: PAGE })
  expect(count).toBe(SHIPPED_PLANS.length)
  expect(rows).toMatchObject(SHIPPED_PLANS.map((plan) => ({ ...plan, is_shipped: true })))
  const changed = { ...PLAN, slug: 'default', schedules: [] }
  await updatePlan(coffer.catalog, 'default', changed, NOON)
  await ensureShippedPlans(coffer.catalog, NOON)
  expect(await getPlan(coffer.catalog, 'default')).toMatchObject(changed)
  await expect(deletePlan(coffer.catalog, 'default')).rejects.toMatchObject({ code: 'CONFLICT' })
})

test('a plan of the first version, which has a name only, is filled, and its environments get their schedules', async () => {
  await using coffer = await startTestCoffer()
  const { id, planId } = await addPlanned(coffer, { rules: [], timezone: 'UTC', now: NOON })
  await coffer.catalog.query(`UPDATE plans SET slug = 'default', policies = '{}' WHERE id = $1`, [planId])
  await ensureShippedPlans(coffer.catalog, NOON)
  expect(await schedulesOf(coffer, id)).toMatchObject([{ name: 'nightly', rule: SHIPPED_PLANS[0]?.schedules[0] }])
})

test('a plan is found by id and by slug, and is what was defined', async () => {
  await using coffer = await startTestCoffer()
  const made = await createPlan(coffer.catalog, { ...PLAN, expected_within_hours: 30 }, NOON)
  expect(made).toMatchObject({ ...PLAN, expected_within_hours: 30, is_shipped: false, created_at: NOON })
  expect(await getPlan(coffer.catalog, made.uuid)).toEqual(made)
  expect(await getPlan(coffer.catalog, 'gold')).toEqual(made)
  await expect(createPlan(coffer.catalog, PLAN, NOON)).rejects.toMatchObject({ code: 'CONFLICT' })
  await expect(getPlan(coffer.catalog, 'silver')).rejects.toMatchObject({ code: 'NOT_FOUND' })
})

test('a cron that can not be followed is refused with its field and the reason, and nothing changes', async () => {
  await using coffer = await startTestCoffer()
  const made = await createPlan(coffer.catalog, PLAN, NOON)
  const bad = { ...PLAN, schedules: [NIGHTLY, { name: 'never', kind: 'cron' as const, cron: '0 0 30 2 *' }] }
  const refusal = {
    code: 'REQUEST_INVALID',
    details: { errors: [{ field: 'schedules.1.cron', message: 'never comes due' }] },
  }
  await expect(updatePlan(coffer.catalog, 'gold', bad, NOON)).rejects.toMatchObject(refusal)
  await expect(createPlan(coffer.catalog, { ...bad, slug: 'silver' }, NOON)).rejects.toMatchObject(refusal)
  expect((await listPlans(coffer.catalog, { page: PAGE })).rows).toEqual([made])
})

test('a plan that is used can not be deleted, also by a deleted environment, whose backups it rules', async () => {
  await using coffer = await startTestCoffer()
  const { id, planId } = await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now: NOON })
  await deleteEnvironment(coffer.catalog, id, SCOPE, NOON)
  await expect(deletePlan(coffer.catalog, planId)).rejects.toMatchObject({ code: 'CONFLICT' })
  await createPlan(coffer.catalog, PLAN, NOON)
  await deletePlan(coffer.catalog, 'gold')
  await expect(getPlan(coffer.catalog, 'gold')).rejects.toMatchObject({ code: 'NOT_FOUND' })
})

test('the policy of an environment is its plan’s, without a plan the default one; a mistyped one is refused', async () => {
  await using coffer = await startTestCoffer()
  const { id, planId } = await addPlanned(coffer, { rules: [], timezone: 'UTC', now: NOON })
  const retention = { ...DEFAULT_POLICY, on_demand: { keep_days: 5, keep_newest: 9 } }
  await updatePlan(coffer.catalog, planId, { ...PLAN, retention }, NOON)
  expect(await policyOf(coffer.catalog, id)).toEqual(retention)
  expect(await policyOf(coffer.catalog, coffer.environmentId)).toEqual(DEFAULT_POLICY)
  await coffer.catalog.query(`UPDATE plans SET policies = jsonb_set(policies, '{on_demand,keep_days}', '-1')`)
  await expect(policyOf(coffer.catalog, id)).rejects.toMatchObject({ code: 'PLAN_INVALID' })
})

test('schedules follow plan and zone of their environment, and keep their identity by name', async () => {
  await using coffer = await startTestCoffer()
  const { id, planId } = await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now: NOON })
  const [before] = await schedulesOf(coffer, id)
  expect(before).toMatchObject({
    name: 'nightly',
    rule: NIGHTLY,
    next_due_at: at('2026-05-02T02:30'),
    last_due_at: null,
  })

  await updateEnvironment(coffer.catalog, id, SCOPE, { timezone: 'Asia/Tokyo' }, NOON)
  expect(await schedulesOf(coffer, id)).toEqual([
    { ...before, timezone: 'Asia/Tokyo', next_due_at: at('2026-05-01T17:30') },
  ])
  const weekly: ScheduleRule = { name: 'weekly', kind: 'weekly', day: 'monday', from: '03:00', until: '03:01' }
  const other = await createPlan(coffer.catalog, { ...PLAN, schedules: [weekly, NIGHTLY] }, NOON)
  await updateEnvironment(coffer.catalog, id, SCOPE, { planId: other.uuid, timezone: 'UTC' }, NOON)
  expect((await schedulesOf(coffer, id)).map(({ uuid, name, next_due_at }) => ({ uuid, name, next_due_at }))).toEqual([
    { uuid: before?.uuid, name: 'nightly', next_due_at: at('2026-05-02T02:30') },
    { uuid: expect.any(String) as string, name: 'weekly', next_due_at: at('2026-05-04T03:00') },
  ])
  await updatePlan(coffer.catalog, planId, { ...PLAN, slug: 'old', schedules: [] }, NOON)
  expect(await schedulesOf(coffer, id)).toHaveLength(2)
  await updateEnvironment(coffer.catalog, id, SCOPE, { planId: null }, NOON)
  expect(await schedulesOf(coffer, id)).toEqual([])
})

test('an environment that joins a plan while it is changed gets its rules, whoever is first', async () => {
  await using coffer = await startTestCoffer()
  const plan = await createPlan(coffer.catalog, PLAN, NOON)
  for (let round = 0; round < 10; round++) {
    const id = await coffer.addEnvironment(`joins-${round}`)
    const rule: ScheduleRule = { ...NIGHTLY, kind: 'cron', cron: `${round} 3 * * *` }
    await Promise.all([
      updateEnvironment(coffer.catalog, id, SCOPE, { planId: plan.uuid }, NOON),
      updatePlan(coffer.catalog, plan.uuid, { ...PLAN, schedules: [rule] }, NOON),
    ])
    expect(await schedulesOf(coffer, id)).toMatchObject([{ rule }])
  }
})

test('an environment is overdue two hours after the first due time that no good backup followed', async () => {
  await using coffer = await startTestCoffer()
  const { id } = await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now: NOON })
  const late = (time: string) => overdue(coffer.catalog, SCOPE, at(time))
  expect(await late('2026-05-02T04:29')).toEqual([])
  const never = {
    environment: id,
    slug: 'planned',
    application: 'shop',
    expected_by: at('2026-05-02T04:30'),
    last_good_at: null,
  }
  expect(await late('2026-05-02T04:30')).toEqual([never])

  const context = firingAt(coffer, at('2026-05-02T02:30'))
  await fireDueSchedules(context)
  expect(await late('2026-05-02T04:30')).toEqual([never])
  await sealAll(coffer, at('2026-05-02T05:00'))
  expect(await late('2026-05-03T04:29')).toEqual([])
  context.set(at('2026-05-05T12:00'))
  await fireDueSchedules(context)
  const since = { ...never, expected_by: at('2026-05-03T04:30'), last_good_at: at('2026-05-02T02:30') }
  expect(await late('2026-05-05T12:00')).toEqual([since])
  await sealAll(coffer, context.clock())
  expect(await late('2026-05-05T12:00')).toEqual([])
})

test.each([
  ['is corrupt', `corrupt_at = now()`],
  ['is lost', `lost_at = now()`],
  ['is suspect', `suspect_reason = 'it shrank'`],
  ['is partial', `success = 'PARTIAL'`],
  ['failed', `success = 'FAILURE'`],
])('a backup that %s lets an environment become overdue', async (_, damage) => {
  await using coffer = await startTestCoffer()
  await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now: NOON })
  await fireDueSchedules(firingAt(coffer, at('2026-05-02T02:30')))
  await sealAll(coffer, at('2026-05-02T02:31'))
  expect(await overdue(coffer.catalog, SCOPE, at('2026-05-02T05:00'))).toEqual([])
  await coffer.catalog.query(`UPDATE service_instance_backups SET ${damage}`)
  expect(await overdue(coffer.catalog, SCOPE, at('2026-05-02T05:00'))).toHaveLength(1)
})

test('the service instance that was left behind makes an environment overdue; a plan may say how long is too long', async () => {
  await using coffer = await startTestCoffer()
  const { id } = await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now: NOON, expectedWithinHours: 10 })
  await fireDueSchedules(firingAt(coffer, at('2026-05-02T02:30')))
  await sealAll(coffer, at('2026-05-02T02:31'))
  expect(await overdue(coffer.catalog, SCOPE, at('2026-05-02T12:29'))).toEqual([])
  expect(await overdue(coffer.catalog, SCOPE, at('2026-05-02T12:30'))).toHaveLength(1)
  await coffer.catalog.query(
    `INSERT INTO service_instances (id, environment_id, type, prefix, connection, created_at)
     VALUES (gen_random_uuid(), $1, 'STORAGE', 'DEFAULT', '', $2)`,
    [id, at('2026-05-02T01:00')],
  )
  expect(await overdue(coffer.catalog, SCOPE, at('2026-05-02T11:00'))).toMatchObject([
    { environment: id, expected_by: at('2026-05-02T11:00'), last_good_at: null },
  ])
  expect(await overdue(coffer.catalog, { organisationId: '00000000-0000-4000-8000-000000000000' }, NOON)).toEqual([])
})

test('who is overdue has one open alert, which ends with the next good backup', async () => {
  await using coffer = await startTestCoffer()
  const { id } = await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now: NOON })
  const alerts = () =>
    coffer.catalog.query('SELECT kind, subject, message, resolved_at FROM alerts WHERE kind = $1', ['overdue'])
  await syncOverdueAlerts(coffer.catalog, at('2026-05-02T04:00'))
  expect(await alerts()).toEqual([])
  for (const time of ['2026-05-02T06:00', '2026-05-02T07:00']) await syncOverdueAlerts(coffer.catalog, at(time))
  const message = 'planned of shop: a good backup was expected by 2026-05-02T04:30Z; there is no good one at all'
  expect(await alerts()).toEqual([{ kind: 'overdue', subject: id, message, resolved_at: null }])
  await fireDueSchedules(firingAt(coffer, at('2026-05-02T08:00')))
  await sealAll(coffer, at('2026-05-02T08:05'))
  await syncOverdueAlerts(coffer.catalog, at('2026-05-02T09:00'))
  expect(await alerts()).toMatchObject([{ resolved_at: at('2026-05-02T09:00') }])
})
