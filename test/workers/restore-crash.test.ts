import { readdir, readFile, writeFile } from 'node:fs/promises'
import { isDeepStrictEqual } from 'node:util'
import { describe, expect, test } from 'vitest'
import { listOpenAlerts } from '../../shared/catalog/alerts.ts'
import { settleRestore } from '../../shared/catalog/restore-requests.ts'
import { processRestore } from '../../workers/restore/process-restore.ts'
import { settleLapsedRestores } from '../../workers/restore/settle-lapsed.ts'
import { startClockedWorker } from '../support/clocked-worker.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { createTestDatabase } from '../support/databases.ts'
import {
  changedDatabase,
  changedMedia,
  endOfPart,
  partOf,
  seen,
  startRestore,
  stateOfDatabase,
} from '../support/restore-requests.ts'
import { inDatabase } from '../support/sample-data.ts'
import { until } from '../support/until.ts'

const IMPATIENT = { COFFER_LEASE_SECONDS: '1', COFFER_RECONCILE_SECONDS: '0.3' }

const MEDIA_STEPS = [
  'restore-claimed',
  'restore-checked',
  'media-member-staged#20',
  'media-journal-committed',
  'media-old-aside',
  'media-removing',
  'restore-done',
]

describe('F37 the worker of a restore over living media is killed', () => {
  test.each(MEDIA_STEPS)('at %s: the folder is old or new, and the next worker ends the restore', async (step) => {
    await using coffer = await startTestCoffer({ env: IMPATIENT })
    const media = await changedMedia(coffer)
    const doomed = await coffer.worker({ killAt: step })
    const id = await startRestore(coffer, media.backupId, { safetyBackup: false })
    await doomed.ended
    expect(doomed.output()).toContain(`SIGKILL at ${step.replace(/#.*/, '')}`)

    await coffer.worker()
    const part = await endOfPart(coffer, id)

    expect(part).toMatchObject({ success: 'SUCCESS', errors: [{ code: 'RUN_ABANDONED', attempt: 1 }] })
    expect(seen(media.path)).toEqual(media.before)
    await until(async () => (await readdir(`${coffer.folder}/media`)).length === 1)
  })

  test('when all is in: what users have written since stays, and the restore ends', async () => {
    await using coffer = await startTestCoffer({ env: IMPATIENT })
    const media = await changedMedia(coffer)
    const doomed = await coffer.worker({ killAt: 'restore-done' })
    const id = await startRestore(coffer, media.backupId, { safetyBackup: false })
    await doomed.ended
    await writeFile(`${media.path}/written since`, 'by a user')

    await coffer.worker()
    expect(await endOfPart(coffer, id)).toMatchObject({ success: 'SUCCESS', report: { recovered: true } })
    expect(await readFile(`${media.path}/written since`, 'utf8')).toBe('by a user')
  })

  test('when its end is on record: the next restore into the folder removes the mark that was left', async () => {
    await using coffer = await startTestCoffer({ env: IMPATIENT })
    const media = await changedMedia(coffer)
    const doomed = await coffer.worker({ killAt: 'restore-ended' })
    const { uuid } = await partOf(coffer, await startRestore(coffer, media.backupId, { safetyBackup: false }))
    await doomed.ended
    const mark = `.coffer-restore-${uuid}`
    expect(await readdir(`${coffer.folder}/media`)).toEqual([mark, 'shop'])
    expect((await readdir(`${coffer.folder}/media/${mark}`)).toSorted()).toEqual([
      'done',
      expect.stringMatching(/^owner-/) as string,
    ])

    await coffer.worker()
    await startRestore(coffer, media.backupId, { safetyBackup: false })
    await until(async () => isDeepStrictEqual(await readdir(`${coffer.folder}/media`), ['shop']))
  })
})

const DATABASE_STEPS = ['restore-checked', 'restore-compared', 'restore-closed', 'restore-swapped', 'restore-done']

describe('F37 the worker of a restore over a living database is killed', () => {
  test.each(DATABASE_STEPS)('at %s: the database is old or new, and the next worker ends the restore', async (step) => {
    await using coffer = await startTestCoffer({ env: IMPATIENT })
    const source = await createTestDatabase()
    const { backupId, before } = await changedDatabase(coffer, source.url)
    const doomed = await coffer.worker({ killAt: step })
    const id = await startRestore(coffer, backupId, { safetyBackup: false })
    await doomed.ended
    expect(doomed.output()).toContain(`SIGKILL at ${step}`)

    await coffer.worker()
    const part = await endOfPart(coffer, id)

    expect(part).toMatchObject({
      success: 'SUCCESS',
      kept_until_confirmed: true,
      errors: [{ code: 'RUN_ABANDONED', attempt: 1 }],
    })
    expect(await stateOfDatabase(source.url)).toEqual(before)
    const left = `SELECT datname FROM pg_database WHERE datname LIKE 'coffer%${part.uuid.replaceAll('-', '')}%'`
    expect(await inDatabase(source.url, left)).toHaveLength(1)
    await dropKept(coffer, id)
    expect(await inDatabase(source.url, left)).toEqual([])
    await source.drop()
  })
})

async function dropKept(coffer: TestCoffer, id: string): Promise<void> {
  await settleRestore(coffer.catalog, id, 'confirm', { organisationId: null })
  coffer.ringer.nudge()
  await until(async () => (await partOf(coffer, id)).confirmed_at)
}

test('F37 a restore into an empty folder needs no confirmation of what its own killed attempt has put there', async () => {
  await using coffer = await startTestCoffer({ env: IMPATIENT })
  const media = await changedMedia(coffer)
  const copy = await coffer.mediaRoot('copy')
  const into = { STORAGE: await coffer.addService('STORAGE', copy.url, 'COPY') }
  const doomed = await coffer.worker({ killAt: 'restore-done' })
  const id = await startRestore(coffer, media.backupId, { into })
  await doomed.ended

  await coffer.worker()
  expect(await endOfPart(coffer, id)).toMatchObject({ success: 'SUCCESS' })
  expect(seen(copy.path)).toEqual(media.before)
})

test('F2 a restore that kills every worker ends as a failure after three of them, with the target as it was', async () => {
  await using coffer = await startTestCoffer({ env: IMPATIENT })
  const media = await changedMedia(coffer)
  const id = await startRestore(coffer, media.backupId, { safetyBackup: false })
  for (let death = 0; death < 3; death++) await (await coffer.worker({ killAt: 'media-staged' })).ended
  expect(await readdir(`${coffer.folder}/media`)).toHaveLength(2)

  await coffer.worker()
  const part = await endOfPart(coffer, id)

  expect(part.success).toBe('FAILURE')
  expect(part.errors.map(({ code, attempt }) => [code, attempt])).toEqual(
    [1, 2, 3, 4].map((attempt) => ['RUN_ABANDONED', attempt]),
  )
  expect(part.errors.at(-1)?.message).toMatch(/each of its workers died; the target is as it was before/)
  expect(await readdir(`${coffer.folder}/media`)).toEqual(['shop'])
  expect(seen(media.path)).toEqual(media.after)
})

test('F3 a worker that freezes and thaws after another has taken over changes nothing', async () => {
  await using coffer = await startTestCoffer({ env: IMPATIENT })
  const media = await changedMedia(coffer)
  const frozen = await coffer.worker({ killAt: 'media-staged', env: { COFFER_TEST_SIGNAL: 'SIGSTOP' } })
  const id = await startRestore(coffer, media.backupId, { safetyBackup: false })
  await frozen.line(({ msg }) => msg === 'SIGSTOP at media-staged')
  // Called here, since the frozen one may hold the lock under which workers reconcile.
  await using other = await startClockedWorker(coffer, { now: new Date() })
  const { uuid } = await until(async () => {
    await settleLapsedRestores(other.context)
    const part = await partOf(coffer, id)
    return part.state === 'QUEUED' && part
  })
  await processRestore(other.context, { data: { id: uuid, attempt: 2 }, attemptsMade: 0 })
  const before = await partOf(coffer, id)
  expect(before).toMatchObject({ success: 'SUCCESS', attempt: 2 })

  frozen.kill('SIGCONT')
  await frozen.line(({ msg }) => msg === 'a job failed')
  expect(await partOf(coffer, id)).toEqual(before)
  expect(seen(media.path)).toEqual(media.before)
})

test('F2 what the last worker leaves half restored raises an alert, and the next restore into it makes it whole first', async () => {
  await using coffer = await startTestCoffer({ env: IMPATIENT })
  const media = await changedMedia(coffer)
  const id = await startRestore(coffer, media.backupId, { safetyBackup: false })
  await coffer.catalog.query('UPDATE service_instance_restores SET tries_left = 1')
  for (const killAt of ['media-old-aside', 'restore-claimed']) await (await coffer.worker({ killAt })).ended
  await using other = await startClockedWorker(coffer, { now: new Date() })
  await until(async () => {
    await settleLapsedRestores(other.context)
    return (await partOf(coffer, id)).ended_at
  })
  const { uuid, success } = await partOf(coffer, id)
  expect(success).toBe('FAILURE')
  const alerts = async () => (await listOpenAlerts(coffer.catalog, { organisationId: null }, 10)).rows
  expect(await alerts()).toMatchObject([
    { kind: 'restore-unfinished', subject: uuid, environment: coffer.environmentId },
  ])
  expect(seen(media.path)).not.toEqual(media.before)
  expect(seen(media.path)).not.toEqual(media.after)

  await coffer.worker({ killAt: 'restore-waits' })
  const next = await startRestore(coffer, media.backupId)
  await until(async () => (await partOf(coffer, next)).safety_backup)
  expect(seen(media.path)).toEqual(media.before)
  expect(await alerts()).toEqual([])
  await coffer.worker()
  expect(await endOfPart(coffer, next)).toMatchObject({ success: 'SUCCESS' })
  await until(async () => isDeepStrictEqual(await readdir(`${coffer.folder}/media`), ['shop']))
})
