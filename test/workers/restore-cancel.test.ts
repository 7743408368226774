import { readdir } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { getBackup } from '../../shared/catalog/backups.ts'
import { cancelRestore } from '../../shared/catalog/restore-requests.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import {
  changedMedia,
  endOfPart,
  endOfRestore,
  partOf,
  restoreOf,
  seen,
  startRestore,
} from '../support/restore-requests.ts'
import { startS3Server } from '../support/s3-server/server.ts'

const SCOPE = { organisationId: null }
const cancel = (coffer: TestCoffer, id: string) => cancelRestore(coffer.catalog, id, SCOPE, new Date())

test('F9 a restore that waits is cancelled at once, and one that has ended cannot be cancelled', async () => {
  await using coffer = await startTestCoffer()
  const media = await changedMedia(coffer)
  const id = await startRestore(coffer, media.backupId)

  expect(await cancel(coffer, id)).toMatchObject({
    finished: true,
    success: 'CANCELLED',
    service_instance_restores: [{ state: 'COMPLETED', success: 'CANCELLED' }],
  })
  await expect(cancel(coffer, id)).rejects.toMatchObject({ code: 'CONFLICT' })

  const next = await startRestore(coffer, media.backupId)
  await coffer.worker()
  expect(await endOfPart(coffer, next)).toMatchObject({ success: 'SUCCESS' })
  expect(await restoreOf(coffer, id)).toMatchObject({ success: 'CANCELLED' })
})

test('F9 one that waits for its safety backup is cancelled together with it', async () => {
  await using coffer = await startTestCoffer()
  const media = await changedMedia(coffer)
  const looking = await coffer.worker({ killAt: 'restore-waits' })
  const id = await startRestore(coffer, media.backupId)
  await looking.ended
  const { safety_backup: safety } = await partOf(coffer, id)

  expect(await cancel(coffer, id)).toMatchObject({ success: 'CANCELLED' })
  expect(await getBackup(coffer.catalog, safety ?? '', SCOPE)).toMatchObject({ success: 'CANCELLED' })
  expect(seen(media.path)).toEqual(media.after)
})

test('F9 one that runs is told to stop: nothing of it is left in the target', async () => {
  await using s3 = await startS3Server()
  await using coffer = await startTestCoffer({ s3 })
  await coffer.worker()
  const media = await changedMedia(coffer)
  const reading = s3.fault({ op: 'GetObject', key: 'tar\\.zst\\.age$', kind: 'stall', when: 'before-headers' })
  const id = await startRestore(coffer, media.backupId, { safetyBackup: false })
  await reading.struck

  expect(await cancel(coffer, id)).toMatchObject({ finished: false })
  expect(await endOfRestore(coffer, id)).toMatchObject({ success: 'CANCELLED' })
  expect(await partOf(coffer, id)).toMatchObject({ success: 'CANCELLED', errors: [], report: null })
  expect(seen(media.path)).toEqual(media.after)
  expect(await readdir(`${coffer.folder}/media`)).toEqual(['shop'])
})

test('F9 one that has come so far that it can only be finished is finished, whoever cancels it', async () => {
  await using coffer = await startTestCoffer({ env: { COFFER_LEASE_SECONDS: '60' } })
  const media = await changedMedia(coffer)
  const frozen = await coffer.worker({ killAt: 'media-journal-committed', env: { COFFER_TEST_SIGNAL: 'SIGSTOP' } })
  const id = await startRestore(coffer, media.backupId, { safetyBackup: false })
  await frozen.line(({ msg }) => msg === 'SIGSTOP at media-journal-committed')
  await cancel(coffer, id)
  frozen.kill('SIGCONT')

  expect(await endOfPart(coffer, id)).toMatchObject({ success: 'SUCCESS', errors: [] })
  expect(seen(media.path)).toEqual(media.before)
})

test('F9 what a killed worker has left is cleaned up before its restore ends as cancelled', async () => {
  await using coffer = await startTestCoffer({ env: { COFFER_LEASE_SECONDS: '1' } })
  const media = await changedMedia(coffer)
  const doomed = await coffer.worker({ killAt: 'media-staged' })
  const id = await startRestore(coffer, media.backupId, { safetyBackup: false })
  await doomed.ended
  expect(await readdir(`${coffer.folder}/media`)).toHaveLength(2)

  expect(await cancel(coffer, id)).toMatchObject({ finished: false })
  await coffer.worker()
  expect(await endOfRestore(coffer, id)).toMatchObject({ success: 'CANCELLED' })
  expect(await readdir(`${coffer.folder}/media`)).toEqual(['shop'])
  expect(seen(media.path)).toEqual(media.after)
})
