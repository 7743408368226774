import { expect, test } from 'vitest'
import { getBackup } from '../../shared/catalog/backups.ts'
import { deleteBackup, undeleteBackup } from '../../shared/catalog/deletions.ts'
import { holdBackup, releaseBackup, setDeletionDate } from '../../shared/catalog/holds.ts'
import { pruneEnvironment } from '../../workers/prune/prune-environment.ts'
import { startClockedWorker } from '../support/clocked-worker.ts'
import { startTestCoffer } from '../support/coffer.ts'
import { daysBefore, sealBackup, sealOnDemand } from '../support/sealed-backups.ts'

const SCOPE = { organisationId: null }
const FOREIGN = { organisationId: '00000000-0000-4000-8000-000000000000' }
const NOW = new Date('2031-05-20T12:00:00.000Z')
const HOUR_MS = 3_600_000

async function twoBackups() {
  await using scope = new AsyncDisposableStack()
  const coffer = scope.use(await startTestCoffer())
  const worker = scope.use(await startClockedWorker(coffer, { now: NOW }))
  await coffer.addService('STORAGE', 'file:///nowhere')
  const [older, newest] = await sealOnDemand(coffer, worker, [2, 1])
  const kept = scope.move()
  return {
    coffer,
    catalog: coffer.catalog,
    older: older?.id ?? '',
    newest: newest?.id ?? '',
    worker,
    async stateAfterPrune(id: string, now: Date) {
      worker.now = now
      await pruneEnvironment(worker.context, coffer.environmentId, { dryRun: false })
      return (await getBackup(coffer.catalog, id, SCOPE)).state
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

test('a backup that is deleted by hand can be undone for 24 hours, and goes after that', async () => {
  await using at = await twoBackups()
  const asked = await deleteBackup(at.catalog, at.older, { reason: 'a test', force: false }, SCOPE, NOW)
  expect(asked).toMatchObject({ state: 'COMPLETED', delete_reason: 'a test', delete_after: daysBefore(NOW, -1) })
  expect(await at.stateAfterPrune(at.older, new Date(NOW.getTime() + 23 * HOUR_MS))).toBe('COMPLETED')
  expect(await undeleteBackup(at.catalog, at.older, SCOPE)).toMatchObject({ delete_after: null, delete_reason: null })
  expect(await at.stateAfterPrune(at.older, new Date(NOW.getTime() + 25 * HOUR_MS))).toBe('COMPLETED')

  await deleteBackup(at.catalog, at.older, { reason: 'meant it', force: false }, SCOPE, at.worker.now)
  expect(await at.stateAfterPrune(at.older, new Date(at.worker.now.getTime() + 24 * HOUR_MS))).toBe('DELETED')
  await expect(undeleteBackup(at.catalog, at.older, SCOPE)).rejects.toMatchObject({ code: 'CONFLICT' })
  await expect(holdBackup(at.catalog, at.older, { reason: 'late', by: 'me' }, SCOPE, NOW)).rejects.toMatchObject({
    code: 'CONFLICT',
  })
})

test('F14 the newest good one is deleted by force with a reason only, and an older one that became it meanwhile stays', async () => {
  await using at = await twoBackups()
  const remove = (id: string, reason: string, force: boolean) =>
    deleteBackup(at.catalog, id, { reason, force }, SCOPE, NOW)
  await expect(remove(at.newest, 'a test', false)).rejects.toMatchObject({ code: 'GUARD_REFUSED' })
  await expect(remove(at.newest, ' ', true)).rejects.toMatchObject({ code: 'REQUEST_INVALID' })

  await remove(at.older, 'a test', false)
  await at.catalog.query(`UPDATE service_instance_backups SET corrupt_at = $2 WHERE backup_id = $1`, [at.newest, NOW])
  expect(await at.stateAfterPrune(at.older, daysBefore(NOW, -2))).toBe('COMPLETED')
  await remove(at.older, 'really', true)
  expect(await at.stateAfterPrune(at.older, daysBefore(NOW, -2))).toBe('DELETED')
})

test('F31 a corrupt one is left alone by every prune, however old it is and whatever its date says, until a person deletes it', async () => {
  await using at = await twoBackups()
  await setDeletionDate(at.catalog, at.older, daysBefore(NOW, -1), SCOPE, NOW)
  await at.catalog.query('UPDATE service_instance_backups SET corrupt_at = $2 WHERE backup_id = $1', [at.older, NOW])
  expect(await at.stateAfterPrune(at.older, daysBefore(NOW, -99))).toBe('COMPLETED')
  await deleteBackup(at.catalog, at.older, { reason: 'looked into', force: false }, SCOPE, at.worker.now)
  expect(await at.stateAfterPrune(at.older, daysBefore(NOW, -101))).toBe('DELETED')
})

test('a hold keeps a backup beyond its own date, and a release lets it go', async () => {
  await using at = await twoBackups()
  await setDeletionDate(at.catalog, at.older, daysBefore(NOW, -1), SCOPE, NOW)
  await holdBackup(at.catalog, at.older, { reason: 'audit', by: 'me' }, SCOPE, NOW)
  await expect(deleteBackup(at.catalog, at.older, { reason: 'a test', force: true }, SCOPE, NOW)).rejects.toMatchObject(
    { code: 'HELD' },
  )
  expect(await at.stateAfterPrune(at.older, daysBefore(NOW, -2))).toBe('COMPLETED')
  expect((await releaseBackup(at.catalog, at.older, SCOPE)).hold).toBeNull()
  expect(await at.stateAfterPrune(at.older, daysBefore(NOW, -2))).toBe('DELETED')
})

test('a date that has passed is refused, and a temporary backup without its date belongs to the policy', async () => {
  await using at = await twoBackups()
  await expect(setDeletionDate(at.catalog, at.newest, NOW, SCOPE, NOW)).rejects.toMatchObject({
    code: 'REQUEST_INVALID',
  })
  const temporary = await sealBackup(at.coffer, at.worker, {
    at: NOW,
    trigger: 'MANUAL',
    deleteAt: daysBefore(NOW, -1),
  })
  await setDeletionDate(at.catalog, temporary.id, null, SCOPE, NOW)
  expect(await at.catalog.query('SELECT policy_class FROM backups WHERE id = $1', [temporary.id])).toEqual([
    { policy_class: 'on_demand' },
  ])
})

test('what runs is not deleted, and a tenant touches only its own', async () => {
  await using at = await twoBackups()
  const { uuid } = await at.coffer.backup()
  await expect(deleteBackup(at.catalog, uuid, { reason: 'a test', force: true }, SCOPE, NOW)).rejects.toMatchObject({
    code: 'CONFLICT',
  })
  for (const work of [
    () => deleteBackup(at.catalog, at.older, { reason: 'a test', force: false }, FOREIGN, NOW),
    () => undeleteBackup(at.catalog, at.older, FOREIGN),
    () => holdBackup(at.catalog, at.older, { reason: 'a test', by: 'me' }, FOREIGN, NOW),
    () => releaseBackup(at.catalog, at.older, FOREIGN),
    () => setDeletionDate(at.catalog, at.older, null, FOREIGN, NOW),
  ])
    await expect(work()).rejects.toMatchObject({ code: 'NOT_FOUND' })
})
