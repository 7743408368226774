import { expect, test } from 'vitest'
import { ringBackupsDue } from '../../shared/catalog/outbox.ts'
import { claimRun } from '../../shared/catalog/runs.ts'
import { claimRestore } from '../../shared/catalog/restore-runs.ts'
import { settleLapsedRestores } from '../../workers/restore/settle-lapsed.ts'
import { startClockedWorker } from '../support/clocked-worker.ts'
import { startTestCoffer } from '../support/coffer.ts'
import { changedMedia, endOfPart, partOf, seen, startRestore } from '../support/restore-requests.ts'
import { until } from '../support/until.ts'

const FROZEN = { COFFER_TEST_SIGNAL: 'SIGSTOP', COFFER_LEASE_SECONDS: '60' }
const claimOf = (id: string) => ({ id, attempt: 1, owner: 'test', leaseSeconds: 60, now: new Date() })

test('a backup that comes due while its service instance is restored waits, and runs when the restore has ended', async () => {
  await using coffer = await startTestCoffer()
  const media = await changedMedia(coffer)
  const restoring = await coffer.worker({ killAt: 'media-staged', env: FROZEN })
  const id = await startRestore(coffer, media.backupId, { safetyBackup: false })
  await restoring.line(({ msg }) => msg === 'SIGSTOP at media-staged')
  const other = await coffer.worker()
  const { uuid, service_instance_backups: parts } = await coffer.backup({ services: [media.serviceId] })
  const waits = 'waits: another run is under way'
  await until(
    async () =>
      (await coffer.queues.all.find(({ name }) => name === 'media-archive')?.getJob(`${parts[0]}-1`))?.returnvalue ===
      waits,
  )
  expect((await coffer.parts(uuid))[0]).toMatchObject({ state: 'QUEUED', attempt: 0 })

  restoring.kill('SIGCONT')
  expect(await endOfPart(coffer, id)).toMatchObject({ success: 'SUCCESS' })
  expect(await coffer.ended(uuid)).toMatchObject({ success: 'SUCCESS' })
  expect(seen(media.path)).toEqual(media.before)
  await other.stop()
})

test('a restore waits for the backup of its target that is under way, and follows it without the reconciler', async () => {
  await using coffer = await startTestCoffer({ env: { COFFER_RECONCILE_SECONDS: '3600' } })
  const media = await changedMedia(coffer)
  const backing = await coffer.worker({ killAt: 'before-manifest', env: FROZEN })
  const { uuid } = await coffer.backup({ services: [media.serviceId] })
  await backing.line(({ msg }) => msg === 'SIGSTOP at before-manifest')
  await coffer.worker()
  const id = await startRestore(coffer, media.backupId, { safetyBackup: false })
  const waits = 'waits: something else is under way with the same target'
  const { uuid: part } = await partOf(coffer, id)
  await until(
    async () =>
      (await coffer.queues.all.find(({ name }) => name === 'restore')?.getJob(`${part}-1`))?.returnvalue === waits,
  )
  expect(await partOf(coffer, id)).toMatchObject({ state: 'QUEUED', attempt: 0 })

  backing.kill('SIGCONT')
  expect(await coffer.ended(uuid)).toMatchObject({ success: 'SUCCESS' })
  expect(await endOfPart(coffer, id)).toMatchObject({ success: 'SUCCESS' })
  expect(seen(media.path)).toEqual(media.before)
})

test('of two restores into one service instance the second waits, also while the first waits for its safety backup', async () => {
  await using coffer = await startTestCoffer()
  const media = await changedMedia(coffer)
  const looking = await coffer.worker({ killAt: 'restore-waits' })
  const first = await startRestore(coffer, media.backupId)
  await looking.ended
  const second = await startRestore(coffer, media.backupId)
  const { uuid } = await partOf(coffer, second)
  expect(await claimRestore(coffer.catalog, claimOf(uuid))).toEqual({ refused: 'waiting' })

  await coffer.worker()
  const [one, two] = [await endOfPart(coffer, first), await endOfPart(coffer, second)]
  expect([one.success, two.success]).toEqual(['SUCCESS', 'SUCCESS'])
  expect(two.safety_backup).not.toBe(one.safety_backup)
  expect(two.started_at).not.toBeNull()
  expect(Date.parse(String(two.started_at))).toBeGreaterThanOrEqual(Date.parse(String(one.ended_at)))
})

test('F4 of a backup and a restore of one service instance that are claimed at once, one begins', async () => {
  await using coffer = await startTestCoffer()
  const media = await changedMedia(coffer)
  for (let round = 0; round < 20; round++) {
    const { service_instance_backups: parts } = await coffer.backup({ services: [media.serviceId] })
    const { uuid: part } = await partOf(coffer, await startRestore(coffer, media.backupId))
    const claims = await Promise.all([
      claimRun(coffer.catalog, claimOf(parts[0] ?? '')),
      claimRestore(coffer.catalog, claimOf(part)),
    ])
    expect(claims.filter((claim) => 'claimed' in claim)).toHaveLength(1)
    expect(claims).toContainEqual({ refused: 'waiting' })
    await coffer.catalog.query(`DELETE FROM leases WHERE kind = 'run'`)
    await coffer.catalog.query(
      `UPDATE service_instance_backups SET state = 'COMPLETED', success = 'FAILURE' WHERE success IS NULL`,
    )
    await coffer.catalog.query(
      `UPDATE service_instance_restores SET state = 'COMPLETED', success = 'FAILURE' WHERE success IS NULL`,
    )
  }
})

test('what a dead worker has left half restored is neither backed up nor restored over before it is made whole', async () => {
  await using coffer = await startTestCoffer({ env: { COFFER_LEASE_SECONDS: '1' } })
  const media = await changedMedia(coffer)
  const doomed = await coffer.worker({ killAt: 'media-old-aside' })
  const first = await startRestore(coffer, media.backupId, { safetyBackup: false })
  await doomed.ended
  await using settling = await startClockedWorker(coffer, { now: new Date() })
  await until(async () => {
    await settleLapsedRestores(settling.context)
    return (await partOf(coffer, first)).state === 'QUEUED'
  })

  const { service_instance_backups: parts } = await coffer.backup({ services: [media.serviceId] })
  await coffer.catalog.query('DELETE FROM outbox')
  expect(await ringBackupsDue(coffer.catalog)).toBe(0)
  expect(await claimRun(coffer.catalog, claimOf(parts[0] ?? ''))).toEqual({ refused: 'waiting' })
  const { uuid: second } = await partOf(coffer, await startRestore(coffer, media.backupId))
  expect(await claimRestore(coffer.catalog, claimOf(second))).toEqual({ refused: 'waiting' })
  const { uuid } = await partOf(coffer, first)
  expect(await claimRestore(coffer.catalog, { ...claimOf(uuid), attempt: 2 })).toHaveProperty('claimed')
})

test('a restore whose worker died waits for its safety backup, and the backup not for it', async () => {
  await using coffer = await startTestCoffer({ env: { COFFER_LEASE_SECONDS: '1', COFFER_RECONCILE_SECONDS: '0.3' } })
  const media = await changedMedia(coffer)
  const doomed = await coffer.worker({ killAt: 'restore-claimed' })
  const id = await startRestore(coffer, media.backupId)
  await doomed.ended

  await coffer.worker()
  const part = await endOfPart(coffer, id)
  expect(part).toMatchObject({ success: 'SUCCESS', errors: [{ code: 'RUN_ABANDONED' }] })
  expect(part.safety_backup).not.toBeNull()
})
