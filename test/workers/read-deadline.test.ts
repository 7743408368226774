import { isDeepStrictEqual } from 'node:util'
import { expect, test } from 'vitest'
import { claimRestore } from '../../shared/catalog/restore-runs.ts'
import { requestVerifications } from '../../shared/catalog/verification-requests.ts'
import { liveFor } from '../../workers/restore/restore-life.ts'
import type { WorkerContext } from '../../workers/run-processor.ts'
import { processVerify } from '../../workers/verify/process-verify.ts'
import { startClockedWorker } from '../support/clocked-worker.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { changedMedia, partOf, startRestore } from '../support/restore-requests.ts'
import { until } from '../support/until.ts'

/** A deadline that has passed at the first of a hundred beats a second. */
const atOnce = (context: WorkerContext): WorkerContext => ({
  ...context,
  config: { ...context.config, COFFER_DEADLINE_SECONDS: 0.001, COFFER_LEASE_SECONDS: 0.03 },
})

const tookSeconds = (coffer: TestCoffer, seconds: number) =>
  coffer.catalog.query('UPDATE service_instance_backups SET started_at = ended_at - make_interval(secs => $1)', [
    seconds,
  ])

/** Waits until the lease was renewed three times. */
async function threeBeats(coffer: TestCoffer, table: 'service_instance_restores' | 'verifications'): Promise<void> {
  const leaseEnds = () => coffer.catalog.query(`SELECT id, lease_expires_at FROM ${table}`)
  for (let beats = 0, last = await leaseEnds(); beats < 3; beats++) {
    await until(async () => !isDeepStrictEqual(await leaseEnds(), last))
    last = await leaseEnds()
  }
}

test('a restore has five times as long as its backup took, when that is longer than the deadline', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: new Date() })
  const { backupId } = await changedMedia(coffer)
  await tookSeconds(coffer, 3600)
  const { uuid: id } = await partOf(coffer, await startRestore(coffer, backupId))
  const claim = await claimRestore(coffer.catalog, { id, attempt: 1, owner: 'test', leaseSeconds: 60, now: new Date() })
  if (!('claimed' in claim)) throw new Error(claim.refused)
  const { claimed } = claim
  const long = liveFor(atOnce(worker.context), claimed)
  await threeBeats(coffer, 'service_instance_restores')
  expect(long.signal.aborted).toBe(false)
  await long.end()

  const short = liveFor(atOnce(worker.context), { ...claimed, backupSeconds: 0 })
  await until(() => Promise.resolve(short.signal.aborted))
  expect(short.signal.reason).toMatchObject({ code: 'RUN_DEADLINE' })
  await short.end()
})

test('a verification has five times as long as its backup took, when that is longer than the deadline', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: new Date() })
  const { backupId } = await changedMedia(coffer)
  const read = coffer.store.read.bind(coffer.store)
  coffer.store.read = async (...args) => {
    await threeBeats(coffer, 'verifications')
    return read(...args)
  }
  const [part] = await coffer.parts(backupId)
  const verify = async (seconds: number) => {
    await tookSeconds(coffer, seconds)
    const target = { serviceInstanceBackup: part?.uuid ?? '' }
    const request = {
      target,
      level: 'checksum' as const,
      by: 'a test',
      scope: { organisationId: null },
      now: new Date(),
    }
    const [asked] = await requestVerifications(coffer.catalog, request)
    const bell = { data: { id: asked?.uuid ?? '', attempt: 1 }, attemptsMade: 0 }
    return processVerify(atOnce(worker.context), bell)
  }
  expect(await verify(3600)).toBe('passed')
  await expect(verify(0)).rejects.toMatchObject({ code: 'RUN_DEADLINE' })
})
