import { expect, test } from 'vitest'
import { updateEnvironment } from '../../shared/catalog/environments.ts'
import { createPlan, ensureShippedPlans, getPlan, updatePlan } from '../../shared/catalog/plans.ts'
import { DEFAULT_POLICY } from '../../shared/domain/retention/policy.ts'
import { changeOfPlan, previewPolicy } from '../../shared/retention/preview.ts'
import { pruneEnvironment } from '../../workers/prune/prune-environment.ts'
import { startClockedWorker } from '../support/clocked-worker.ts'
import { startTestCoffer } from '../support/coffer.ts'
import { daysBefore, sealBackup, sealOnDemand } from '../support/sealed-backups.ts'

const SCOPE = { organisationId: null }
const NOW = new Date('2031-05-20T12:00:00.000Z')
const FEWER = { ...DEFAULT_POLICY, on_demand: { keep_days: 10, keep_newest: 1 } }

test('a preview of 400 days ends with 12 monthly, 4 weekly and 7 daily, and says when and why each backup of today goes', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  await coffer.addService('STORAGE', 'file:///nowhere')
  await ensureShippedPlans(coffer.catalog, NOW)
  const { uuid } = await getPlan(coffer.catalog, 'default')
  await updateEnvironment(coffer.catalog, coffer.environmentId, SCOPE, { planId: uuid }, NOW)
  const scheduled = await sealBackup(coffer, worker, { at: daysBefore(NOW, 1) })
  const old = await sealOnDemand(coffer, worker, [50, 40, 35, 32, 2])
  const rows = 'SELECT id, label, state, state_written FROM service_instance_backups ORDER BY id'
  const before = await coffer.catalog.query(rows)

  const [preview] = await previewPolicy(coffer.catalog, coffer.environmentId, DEFAULT_POLICY, { days: 500, now: NOW })

  expect(await coffer.catalog.query(rows)).toEqual(before)
  expect(preview?.counts).toEqual({ daily: 7, weekly: 4, monthly: 12, on_demand: 3 })
  expect(preview?.today).toHaveLength(6)
  const going = new Map(preview?.going.map((line) => [line.backup, line]))
  expect([...going.keys()]).toEqual([old[0]?.id, old[1]?.id, scheduled.id])
  expect(going.get(old[0]?.id ?? '')).toMatchObject({ goes_at: NOW, rule: 'expired' })
  const left = (going.get(old[1]?.id ?? '')?.goes_at.getTime() ?? 0) - daysBefore(NOW, -28).getTime()
  expect(left / 86_400_000).toBeGreaterThan(0)
  expect(left / 86_400_000).toBeLessThan(1.1)
  expect(going.get(scheduled.id)).toMatchObject({ label: 'monthly', rule: 'outnumbered' })
})

test('an environment without schedules is previewed with what it has', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  await coffer.addService('STORAGE', 'file:///nowhere')
  expect(
    await previewPolicy(coffer.catalog, coffer.environmentId, DEFAULT_POLICY, { days: 40, now: NOW }),
  ).toMatchObject([{ prefix: 'DEFAULT', today: [], kept: [], going: [], counts: {} }])
  const sealed = await sealOnDemand(coffer, worker, [9, 8, 7, 6, 5])
  const [preview] = await previewPolicy(coffer.catalog, coffer.environmentId, DEFAULT_POLICY, { days: 40, now: NOW })
  // The oldest goes when four are older than 30 days.
  expect(preview?.going.map(({ backup, goes_at }) => [backup, goes_at])).toEqual([
    [sealed[0]?.id, daysBefore(NOW, -24)],
    [sealed[1]?.id, daysBefore(NOW, -25)],
  ])
})

test('a change of plan lists exactly what a prune would then delete more, with a digest of exactly this change', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  await coffer.addService('STORAGE', 'file:///nowhere')
  const plan = await createPlan(
    coffer.catalog,
    { slug: 'mine', name: 'Mine', schedules: [], retention: DEFAULT_POLICY },
    NOW,
  )
  await updateEnvironment(coffer.catalog, coffer.environmentId, SCOPE, { planId: plan.uuid }, NOW)
  const sealed = await sealOnDemand(coffer, worker, [60, 50, 40, 35, 20, 2])
  const same = await changeOfPlan(coffer.catalog, { planId: plan.uuid }, DEFAULT_POLICY, NOW)
  expect(same.deletesMore).toEqual([])

  const change = await changeOfPlan(coffer.catalog, { planId: plan.uuid }, FEWER, NOW)
  expect(change.deletesMore.map(({ backup }) => backup)).toEqual(
    [sealed[3], sealed[2], sealed[1]].map((one) => one?.id),
  )
  expect(await changeOfPlan(coffer.catalog, { environmentId: coffer.environmentId }, FEWER, NOW)).toEqual(change)
  expect(same.digest).not.toBe(change.digest)
  const longer = { ...DEFAULT_POLICY, on_demand: { keep_days: 31, keep_newest: 3 } }
  const harmless = await changeOfPlan(coffer.catalog, { planId: plan.uuid }, longer, NOW)
  expect(harmless.deletesMore).toEqual([])
  expect(harmless.digest).not.toBe(same.digest)

  const { deleted: today } = await pruneEnvironment(worker.context, coffer.environmentId, { dryRun: false })
  expect(today).toEqual(sealed[0]?.parts)
  await updatePlan(coffer.catalog, plan.uuid, { slug: 'mine', name: 'Mine', schedules: [], retention: FEWER }, NOW)
  const { deleted } = await pruneEnvironment(worker.context, coffer.environmentId, { dryRun: false })
  expect(deleted.toSorted()).toEqual(change.deletesMore.map((line) => line.service_instance_backup).toSorted())
})
