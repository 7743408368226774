import { describe, expect, test } from 'vitest'
import { updateEnvironment } from '../../shared/catalog/environments.ts'
import { setDeletionDate } from '../../shared/catalog/holds.ts'
import { ensureShippedPlans, getPlan } from '../../shared/catalog/plans.ts'
import { resumePruning } from '../../shared/catalog/pruning.ts'
import { beginDeletion } from '../../shared/catalog/deleting.ts'
import { pruneEnvironment } from '../../workers/prune/prune-environment.ts'
import { startClockedWorker, type ClockedWorker } from '../support/clocked-worker.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { daysBefore, sealBackup, sealOnDemand } from '../support/sealed-backups.ts'

const SCOPE = { organisationId: null }
const NOW = new Date('2031-05-20T12:00:00.000Z')
const HOUR_MS = 3_600_000

const prune = ({ environmentId }: TestCoffer, { context }: ClockedWorker) =>
  pruneEnvironment(context, environmentId, { dryRun: false })

const openAlerts = ({ catalog }: TestCoffer) =>
  catalog.query('SELECT kind, subject FROM alerts WHERE resolved_at IS NULL')

const countKept = async ({ catalog }: TestCoffer) =>
  (await catalog.query(`SELECT 1 FROM service_instance_backups WHERE state = 'COMPLETED'`)).length

describe('F11 a clock', () => {
  test('that jumps 40 days ahead deletes nothing: pruning stops with an alert, until a person allows it', async () => {
    await using coffer = await startTestCoffer()
    await using worker = await startClockedWorker(coffer, { now: NOW })
    await coffer.addService('STORAGE', 'file:///nowhere')
    await sealOnDemand(coffer, worker, [20, 18, 16, 14, 12, 10, 8])
    await prune(coffer, worker)

    worker.now = daysBefore(NOW, -40)
    const stopped = await prune(coffer, worker)
    expect(stopped).toMatchObject({ outcome: 'stopped', deleted: [] })
    expect(stopped.stoppedReason).toMatch(/^4 of 7 usable backups would go at once/)
    expect(await countKept(coffer)).toBe(7)
    expect(await openAlerts(coffer)).toEqual([{ kind: 'prune-stopped', subject: coffer.environmentId }])
    // The clock is right again: what a guard has stopped still waits for a person.
    worker.now = NOW
    expect(await prune(coffer, worker)).toMatchObject({ outcome: 'stopped' })

    worker.now = daysBefore(NOW, -40)
    await resumePruning(coffer.catalog, coffer.environmentId, SCOPE, worker.now)
    expect(await openAlerts(coffer)).toEqual([])
    expect((await prune(coffer, worker)).deleted).toHaveLength(4)
    expect(await prune(coffer, worker)).toMatchObject({ outcome: 'pruned', deleted: [] })
  })

  test('that goes 2 hours back, behind the newest backup or behind the last prune, stops pruning', async () => {
    await using coffer = await startTestCoffer()
    await using worker = await startClockedWorker(coffer, { now: NOW })
    await coffer.addService('STORAGE', 'file:///nowhere')
    await sealOnDemand(coffer, worker, [60, 50, 40, 35, 0])
    worker.now = new Date(NOW.getTime() - 2 * HOUR_MS)
    expect(await prune(coffer, worker)).toMatchObject({
      outcome: 'stopped',
      stoppedReason: `the clock says 2031-05-20T10:00:00.000Z, which is before the newest backup at ${NOW.toISOString()}`,
    })
    expect(await countKept(coffer)).toBe(5)

    worker.now = daysBefore(NOW, -1)
    await resumePruning(coffer.catalog, coffer.environmentId, SCOPE, worker.now)
    expect(await prune(coffer, worker)).toMatchObject({ outcome: 'pruned' })
    worker.now = new Date(worker.now.getTime() - 2 * HOUR_MS)
    expect((await prune(coffer, worker)).stoppedReason).toContain('before the last prune')
  })

  test('that is a minute behind another machine stops nothing, and neither does an outage of scheduled backups', async () => {
    await using coffer = await startTestCoffer()
    await using worker = await startClockedWorker(coffer, { now: NOW })
    await coffer.addService('STORAGE', 'file:///nowhere')
    for (const age of [12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
      await sealBackup(coffer, worker, { at: daysBefore(NOW, age) })
    worker.now = new Date(NOW.getTime() - 60_000)
    expect(await prune(coffer, worker)).toMatchObject({ outcome: 'pruned' })
    const kept = await countKept(coffer)
    worker.now = daysBefore(NOW, -200)
    expect(await prune(coffer, worker)).toMatchObject({ outcome: 'pruned', deleted: [] })
    expect(await countKept(coffer)).toBe(kept)
  })
})

test('what comes of age within a normal day goes, however much it is', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  await coffer.addService('STORAGE', 'file:///nowhere')
  await sealOnDemand(coffer, worker, Array<number>(10).fill(29.5))
  expect((await prune(coffer, worker)).deleted).toEqual([])
  worker.now = daysBefore(NOW, -1)
  expect((await prune(coffer, worker)).deleted).toHaveLength(7)
})

test('on demand: 10 backups over 60 days leave all younger than 30 days and the 3 newest of the older', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  await coffer.addService('STORAGE', 'file:///nowhere')
  const ages = [57, 51, 45, 39, 33, 27, 21, 15, 9, 3]
  const sealed = await sealOnDemand(coffer, worker, ages)
  const { deleted } = await prune(coffer, worker)
  expect(deleted).toEqual(sealed.slice(0, 2).flatMap(({ parts }) => parts))
})

test('F18 100 on-demand backups evict no scheduled one', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  await coffer.addService('STORAGE', 'file:///nowhere')
  const scheduled = []
  for (const age of [46, 45, 44]) scheduled.push(await sealBackup(coffer, worker, { at: daysBefore(NOW, age) }))
  await sealOnDemand(
    coffer,
    worker,
    Array.from({ length: 100 }, (_, n) => 43 - n / 50),
  )
  const { plan } = await prune(coffer, worker)
  const kept = plan.flatMap(({ verdicts }) =>
    verdicts.filter(({ action }) => action === 'keep').map(({ backup }) => backup),
  )
  expect(kept).toEqual(expect.arrayContaining(scheduled.map(({ id }) => id)))
  expect(kept).toHaveLength(3 + 3)
})

describe('F14 the newest good backup', () => {
  test('stays when only failed, partial, suspect and lost ones are newer, and it is far too old for the policy', async () => {
    await using coffer = await startTestCoffer()
    await using worker = await startClockedWorker(coffer, { now: NOW })
    await coffer.addService('STORAGE', 'file:///nowhere')
    const [good] = await sealOnDemand(coffer, worker, [300])
    for (const success of ['FAILURE', 'PARTIAL', 'FAILURE', 'PARTIAL'] as const)
      await sealBackup(coffer, worker, { at: daysBefore(NOW, 200), trigger: 'MANUAL', success })
    const lost = await sealBackup(coffer, worker, { at: daysBefore(NOW, 100), trigger: 'MANUAL' })
    await loseObjects(coffer, lost.id)
    await coffer.catalog.query('UPDATE service_instance_backups SET lost_at = $2 WHERE id = $1', [
      lost.parts[0],
      daysBefore(NOW, 99),
    ])
    await setDeletionDate(coffer.catalog, good?.id ?? '', daysBefore(NOW, 1), SCOPE, daysBefore(NOW, 2))
    const { plan, deleted } = await prune(coffer, worker)
    expect(plan[0]?.verdicts.find(({ backup }) => backup === good?.id)).toMatchObject({
      action: 'keep',
      rule: 'newest_good',
    })
    expect(deleted).not.toContain(good?.parts[0])
    expect(deleted).toContain(lost.parts[0])
  })

  test('is not deleted when the newer one turns bad between the plan and the deletion', async () => {
    await using coffer = await startTestCoffer()
    await using worker = await startClockedWorker(coffer, { now: NOW })
    await coffer.addService('STORAGE', 'file:///nowhere')
    const [older] = await sealOnDemand(coffer, worker, [60, 50, 40, 35])
    await coffer.catalog.query('UPDATE service_instance_backups SET corrupt_at = $2 WHERE id <> $1', [
      older?.parts[0],
      NOW,
    ])
    expect(await beginDeletion(coffer.catalog, { id: older?.parts[0] ?? '', reason: 'test' })).toBeNull()
  })
})

test('a safety backup lets no other be deleted, by prune or by hand, and may itself go', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  await coffer.addService('STORAGE', 'file:///nowhere')
  const [older, safety] = await sealOnDemand(coffer, worker, [60, 50])
  await coffer.catalog.query(`UPDATE backups SET policy_class = 'safety' WHERE id = $1`, [safety?.id])
  await setDeletionDate(coffer.catalog, older?.id ?? '', daysBefore(NOW, 1), SCOPE, daysBefore(NOW, 2))
  expect(await prune(coffer, worker)).toMatchObject({ outcome: 'pruned', deleted: [] })
  const begin = (part = '') => beginDeletion(coffer.catalog, { id: part, reason: 'test' })
  expect(await begin(older?.parts[0])).toBeNull()
  expect(await begin(safety?.parts[0])).not.toBeNull()
})

test('a plan whose policy is not valid deletes nothing', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  await coffer.addService('STORAGE', 'file:///nowhere')
  await sealOnDemand(coffer, worker, [90, 80, 70, 60, 50])
  await ensureShippedPlans(coffer.catalog, NOW)
  const { uuid } = await getPlan(coffer.catalog, 'default')
  await updateEnvironment(coffer.catalog, coffer.environmentId, SCOPE, { planId: uuid }, NOW)
  for (const policies of ['{}', '{"scheduled":{"tiers":[]},"on_demand":{"keep_days":0,"keep_newest":0}}']) {
    await coffer.catalog.query('UPDATE plans SET policies = $2 WHERE id = $1', [uuid, policies])
    await expect(prune(coffer, worker)).rejects.toMatchObject({ code: 'PLAN_INVALID' })
  }
  expect(await countKept(coffer)).toBe(5)
})

async function loseObjects(coffer: TestCoffer, backupId: string): Promise<void> {
  for (const key of await coffer.objects()) if (key.includes(backupId)) await coffer.store.delete(key)
}
