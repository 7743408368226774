import { describe, expect, test } from 'vitest'
import { cancelBackup } from '../../shared/catalog/backup-requests.ts'
import { endAttempt } from '../../shared/catalog/run-ends.ts'
import { claimRun, renewRun, type ClaimedRun } from '../../shared/catalog/runs.ts'
import { abandonSeal, beginSeal, finishSeal, isOver } from '../../shared/catalog/seals.ts'
import { takeOverLapsedRuns } from '../../shared/catalog/lapses.ts'
import { getBackup } from '../../shared/catalog/backups.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { until } from '../support/until.ts'

const SCOPE = { organisationId: null }
const now = new Date()
const INTENT = { manifest: '{}', artifacts: [], files: null, warnings: [], takenAt: now }

async function claimed(coffer: TestCoffer, id: string, attempt = 1, leaseSeconds = 60): Promise<ClaimedRun> {
  const claim = await claimRun(coffer.catalog, { id, attempt, owner: `test ${attempt}`, leaseSeconds, now })
  if ('refused' in claim) throw new Error(`refused: ${claim.refused}`)
  return claim.claimed
}

async function twoSiblings(coffer: TestCoffer): Promise<{ uuid: string; runs: [ClaimedRun, ClaimedRun] }> {
  await coffer.addService('DATABASE', 'postgres://u:p@localhost/a')
  await coffer.addService('STORAGE', 'file:///nowhere')
  const { uuid, service_instance_backups: ids } = await coffer.backup()
  const runs = await Promise.all(ids.map((id) => claimed(coffer, id)))
  return { uuid, runs: runs as [ClaimedRun, ClaimedRun] }
}

describe('two siblings', () => {
  test.each([
    [0, 1],
    [1, 0],
  ] as const)('that finish one after the other (%i, %i) complete the parent', async (first, second) => {
    await using coffer = await startTestCoffer()
    const { uuid, runs } = await twoSiblings(coffer)
    for (const run of runs) expect(await beginSeal(coffer.catalog, run, INTENT)).toBe('sealing')
    expect(await finishSeal(coffer.catalog, runs[first], { success: 'SUCCESS', now })).toBe('sealed')
    expect((await getBackup(coffer.catalog, uuid, SCOPE)).state).toBe('RUNNING')
    expect(await finishSeal(coffer.catalog, runs[second], { success: 'SUCCESS', now })).toBe('sealed')
    expect(await getBackup(coffer.catalog, uuid, SCOPE)).toMatchObject({ state: 'COMPLETED', success: 'SUCCESS' })
  })

  test('that finish at the same moment complete the parent, every time', async () => {
    await using coffer = await startTestCoffer()
    await coffer.addService('DATABASE', 'postgres://u:p@localhost/a')
    await coffer.addService('STORAGE', 'file:///nowhere')
    for (let round = 0; round < 20; round++) {
      const { uuid, service_instance_backups: ids } = await coffer.backup()
      const runs = await Promise.all(ids.map((id) => claimed(coffer, id)))
      await Promise.all(runs.map((run) => beginSeal(coffer.catalog, run, INTENT)))
      await Promise.all(runs.map((run) => finishSeal(coffer.catalog, run, { success: 'SUCCESS', now })))
      expect((await getBackup(coffer.catalog, uuid, SCOPE)).state).toBe('COMPLETED')
    }
  })

  test('of which one fails make the backup PARTIAL', async () => {
    await using coffer = await startTestCoffer()
    const { uuid, runs } = await twoSiblings(coffer)
    await beginSeal(coffer.catalog, runs[0], INTENT)
    await finishSeal(coffer.catalog, runs[0], { success: 'SUCCESS', now })
    await endAttempt(coffer.catalog, runs[1], { next: 'fail', error: null, delaySeconds: 0, now })
    expect(await getBackup(coffer.catalog, uuid, SCOPE)).toMatchObject({ state: 'COMPLETED', success: 'PARTIAL' })
  })
})

test('F4 of many claims for one attempt exactly one succeeds', async () => {
  await using coffer = await startTestCoffer()
  await coffer.addService('DATABASE', 'postgres://u:p@localhost/a')
  const [id = ''] = (await coffer.backup()).service_instance_backups
  const claims = await Promise.all(
    Array.from({ length: 8 }, (_, n) =>
      claimRun(coffer.catalog, { id, attempt: 1, owner: `w${n}`, leaseSeconds: 60, now }),
    ),
  )
  expect(claims.filter((claim) => 'claimed' in claim)).toHaveLength(1)
})

test('a second run of the same service instance waits for the first, and is rung when it ends', async () => {
  await using coffer = await startTestCoffer()
  await coffer.addService('DATABASE', 'postgres://u:p@localhost/a')
  const [first = ''] = (await coffer.backup()).service_instance_backups
  const [second = ''] = (await coffer.backup()).service_instance_backups
  const run = await claimed(coffer, first)
  const request = { id: second, attempt: 1, owner: 'other', leaseSeconds: 60, now }
  expect(await claimRun(coffer.catalog, request)).toEqual({ refused: 'waiting' })
  await coffer.catalog.query('DELETE FROM outbox')
  await endAttempt(coffer.catalog, run, { next: 'fail', error: null, delaySeconds: 0, now })
  expect(await coffer.catalog.query('SELECT job_id FROM outbox')).toEqual([{ job_id: `${second}-1` }])
  expect(await claimRun(coffer.catalog, request)).toHaveProperty('claimed')
})

test('F3 a run that was taken over can neither renew, nor begin nor finish its seal, nor end', async () => {
  await using coffer = await startTestCoffer()
  await coffer.addService('DATABASE', 'postgres://u:p@localhost/a')
  const [id = ''] = (await coffer.backup()).service_instance_backups
  const run = await claimed(coffer, id, 1, 0.01)
  const settler = await until(async () => (await takeOverLapsedRuns(coffer.catalog, 60))[0])
  expect(await renewRun(coffer.catalog, run, { leaseSeconds: 60, progress: null })).toBe('fenced')
  expect(await beginSeal(coffer.catalog, run, INTENT)).toBe('fenced')
  expect(await finishSeal(coffer.catalog, run, { success: 'SUCCESS', now })).toBe('fenced')
  expect(await endAttempt(coffer.catalog, run, { next: 'fail', error: null, delaySeconds: 0, now })).toBe('fenced')
  expect(await endAttempt(coffer.catalog, settler, { next: 'retry', error: null, delaySeconds: 0, now })).toBe('queued')
  expect(await claimed(coffer, id, 2)).toMatchObject({ attempt: 2 })
})

test('a settler that stalls and wakes up can not abandon what the next settler has sealed', async () => {
  await using coffer = await startTestCoffer()
  await coffer.addService('DATABASE', 'postgres://u:p@localhost/a')
  const [id = ''] = (await coffer.backup()).service_instance_backups
  const run = await claimed(coffer, id, 1, 0.01)
  expect(await beginSeal(coffer.catalog, run, INTENT)).toBe('sealing')
  const stalled = await until(async () => (await takeOverLapsedRuns(coffer.catalog, 0.01))[0])
  const second = await until(async () => (await takeOverLapsedRuns(coffer.catalog, 60))[0])
  expect(await isOver(coffer.catalog, run)).toBe(false)
  expect(await finishSeal(coffer.catalog, second, { success: 'SUCCESS', now })).toBe('sealed')
  expect(await abandonSeal(coffer.catalog, stalled)).toBe('fenced')
  expect(await isOver(coffer.catalog, run)).toBe(false)
})

test('what a settler has abandoned can not be sealed by the worker that wakes up, and is over when it is queued again', async () => {
  await using coffer = await startTestCoffer()
  await coffer.addService('DATABASE', 'postgres://u:p@localhost/a')
  const [id = ''] = (await coffer.backup()).service_instance_backups
  const run = await claimed(coffer, id, 1, 0.01)
  await beginSeal(coffer.catalog, run, INTENT)
  const settler = await until(async () => (await takeOverLapsedRuns(coffer.catalog, 60))[0])
  expect(settler).toMatchObject({ state: 'SEALING', manifest: INTENT.manifest })
  expect(await abandonSeal(coffer.catalog, settler)).toBe('abandoned')
  expect(await finishSeal(coffer.catalog, run, { success: 'SUCCESS', now })).toBe('fenced')
  expect(await isOver(coffer.catalog, run)).toBe(false)
  await endAttempt(coffer.catalog, settler, { next: 'retry', error: null, delaySeconds: 0, now })
  expect(await isOver(coffer.catalog, run)).toBe(true)
})

test('F9 a cancel that comes first wins over the seal; one that comes after the seal began does not', async () => {
  await using coffer = await startTestCoffer()
  const { uuid, runs } = await twoSiblings(coffer)
  expect(await beginSeal(coffer.catalog, runs[0], INTENT)).toBe('sealing')
  await cancelBackup(coffer.catalog, uuid, SCOPE, now)
  expect(await beginSeal(coffer.catalog, runs[1], INTENT)).toBe('cancelled')
  expect(await beginSeal(coffer.catalog, runs[0], INTENT)).toBe('sealing')
  expect(await finishSeal(coffer.catalog, runs[0], { success: 'SUCCESS', now })).toBe('sealed')
})

test('a transient failure is retried with its tries, then fails for good', async () => {
  await using coffer = await startTestCoffer()
  await coffer.addService('DATABASE', 'postgres://u:p@localhost/a')
  const { uuid, service_instance_backups } = await coffer.backup()
  const [id = ''] = service_instance_backups
  const end = { next: 'retry', error: null, delaySeconds: 0, now } as const
  for (const attempt of [1, 2]) {
    const run = await claimed(coffer, id, attempt)
    expect(await endAttempt(coffer.catalog, run, end)).toBe('queued')
  }
  expect(await endAttempt(coffer.catalog, await claimed(coffer, id, 3), end)).toBe('completed')
  expect(await getBackup(coffer.catalog, uuid, SCOPE)).toMatchObject({ state: 'COMPLETED', success: 'FAILURE' })
})

test('bigint columns come back as numbers, and an unknown service is not found', async () => {
  await using coffer = await startTestCoffer()
  await coffer.addService('DATABASE', 'postgres://u:p@localhost/a')
  await expect(coffer.backup({ services: ['00000000-0000-4000-8000-000000000000'] })).rejects.toMatchObject({
    code: 'NOT_FOUND',
  })
  expect(await coffer.catalog.query('SELECT count(*) AS n FROM backups')).toEqual([{ n: 0 }])
})

test.each(['SUCCESS', 'PARTIAL'] as const)(
  'a run is told what the last one held that ended %s, so that a folder that was emptied is noticed',
  async (success) => {
    await using coffer = await startTestCoffer()
    await coffer.addService('STORAGE', 'file:///nowhere')
    const first = await claimed(coffer, (await coffer.backup()).service_instance_backups[0] ?? '')
    expect(first.last).toBeNull()
    await beginSeal(coffer.catalog, first, { ...INTENT, files: 7 })
    await finishSeal(coffer.catalog, first, { success, now })
    const second = await claimed(coffer, (await coffer.backup()).service_instance_backups[0] ?? '')
    expect(second.last).toMatchObject({ files: 7 })
  },
)
