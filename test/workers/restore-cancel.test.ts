import { readdir } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { getBackup } from '../../shared/catalog/backups.ts'
import { createApplication } from '../../shared/catalog/applications.ts'
import { createEnvironment } from '../../shared/catalog/environments.ts'
import { createOrganisation, defaultOrganisationId } from '../../shared/catalog/organisations.ts'
import { cancelRestore, settleRestore } from '../../shared/catalog/restore-requests.ts'
import { getRestore, listRestores } from '../../shared/catalog/restores.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { createTestDatabase } from '../support/databases.ts'
import {
  backUp,
  changedMedia,
  endOfPart,
  endOfRestore,
  partOf,
  restoreOf,
  seen,
  startRestore,
} from '../support/restore-requests.ts'
import { fillTable } from '../support/sample-data.ts'
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

test('a cancel leaves a part alone that had succeeded and is being confirmed', async () => {
  await using coffer = await startTestCoffer()
  const source = await createTestDatabase()
  await using media = { ...(await changedMedia(coffer)), [Symbol.asyncDispose]: () => source.drop() }
  await fillTable(source.url, 3)
  const database = await coffer.addService('DATABASE', source.url)
  const id = await startRestore(coffer, await backUp(coffer, [database, media.serviceId]))
  const [succeeded] = await coffer.catalog.query<{ id: string }>(
    `UPDATE service_instance_restores SET state = 'COMPLETED', success = 'SUCCESS', kept = true, ended_at = now()
      WHERE restore_id = $1 AND service_instance_id = $2 RETURNING id`,
    [id, database],
  )
  await settleRestore(coffer.catalog, id, 'confirm', SCOPE)

  const { service_instance_restores: parts } = await cancel(coffer, id)
  expect(parts.find(({ uuid }) => uuid === succeeded?.id)).toMatchObject({
    ...{ success: 'SUCCESS', action: 'confirm', action_state: 'QUEUED', kept_until_confirmed: true },
  })
  expect(parts.find(({ uuid }) => uuid !== succeeded?.id)).toMatchObject({ success: 'CANCELLED' })
})

test("a restore into another organisation is nobody's but the installation's, to see and to act on", async () => {
  await using coffer = await startTestCoffer()
  const { backupId, serviceId } = await changedMedia(coffer)
  const now = new Date()
  const other = await createOrganisation(coffer.catalog, { slug: 'other', name: 'Other', mediaRoots: null, now })
  const own = { organisationId: await defaultOrganisationId(coffer.catalog) }
  const [within, across] = [await startRestore(coffer, backupId), await startRestore(coffer, backupId)]
  await moveTarget(coffer, across, { organisationId: other.uuid, now })

  expect(await listed(coffer, own)).toEqual([within])
  expect(await listed(coffer, { organisationId: other.uuid })).toEqual([])
  expect((await listed(coffer, SCOPE)).toSorted()).toEqual([within, across].toSorted())
  expect(await getRestore(coffer.catalog, within, own)).toMatchObject({
    service_instance_restores: [{ service_instance: serviceId }],
  })
  for (const scope of [own, { organisationId: other.uuid }]) {
    for (const act of [
      () => getRestore(coffer.catalog, across, scope),
      () => cancelRestore(coffer.catalog, across, scope, now),
      () => settleRestore(coffer.catalog, across, 'confirm', scope),
      () => settleRestore(coffer.catalog, across, 'undo', scope),
    ])
      await expect(act()).rejects.toMatchObject({ code: 'NOT_FOUND' })
  }
  expect(await cancel(coffer, across)).toMatchObject({ success: 'CANCELLED' })
})

async function listed(coffer: TestCoffer, scope: { organisationId: string | null }): Promise<string[]> {
  const { rows, count } = await listRestores(coffer.catalog, { scope, page: { limit: 10, offset: 0 } })
  expect(rows).toHaveLength(count)
  return rows.map(({ uuid }) => uuid)
}

/** As when somebody of the whole installation had asked for it. */
async function moveTarget(
  coffer: TestCoffer,
  restore: string,
  owner: { organisationId: string; now: Date },
): Promise<void> {
  const application = await createApplication(coffer.catalog, { ...owner, slug: 'theirs', name: 'Theirs' })
  const environment = { applicationId: application.uuid, slug: 'live', planId: null, storeId: null, timezone: 'UTC' }
  const { uuid } = await createEnvironment(coffer.catalog, { ...environment, scope: SCOPE, now: owner.now })
  await coffer.catalog.query(
    `WITH copy AS (INSERT INTO service_instances (id, environment_id, type, prefix, connection, created_at)
                   VALUES (gen_random_uuid(), $2, 'STORAGE', 'DEFAULT', '', now()) RETURNING id)
     UPDATE service_instance_restores SET service_instance_id = copy.id FROM copy WHERE restore_id = $1`,
    [restore, uuid],
  )
}

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
