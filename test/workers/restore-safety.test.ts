import { readdir, rm } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { cancelBackup } from '../../shared/catalog/backup-requests.ts'
import { getBackup } from '../../shared/catalog/backups.ts'
import { claimRestore } from '../../shared/catalog/restore-runs.ts'
import { retentionView } from '../../shared/catalog/retention.ts'
import { startTestCoffer } from '../support/coffer.ts'
import { changedMedia, endOfPart, partOf, seen, startRestore } from '../support/restore-requests.ts'
import { until } from '../support/until.ts'

const SCOPE = { organisationId: null }

test('what the target holds is backed up first: linked, kept by its policy, and itself restorable', async () => {
  await using coffer = await startTestCoffer()
  await coffer.worker()
  const media = await changedMedia(coffer)

  const id = await startRestore(coffer, media.backupId)
  const part = await endOfPart(coffer, id)

  expect(part).toMatchObject({ success: 'SUCCESS', errors: [], attempt: 2, preflight: { is_empty: false } })
  expect(seen(media.path)).toEqual(media.before)
  const safety = part.safety_backup ?? ''
  expect(part.report).toMatchObject({ files: 30, safety_backup: safety, left_out: [] })
  const { seconds } = part.report as { seconds: Record<string, number> }
  expect(seconds['safety_backup']).toBeGreaterThan(0)
  expect(seconds['restore']).toBeGreaterThan(0)
  expect(await getBackup(coffer.catalog, safety, SCOPE)).toMatchObject({
    trigger: 'PRE_RESTORE',
    success: 'SUCCESS',
    notes: `before restore ${id}`,
    service_instance_backups: [expect.any(String) as string],
  })
  const [{ verdicts } = { verdicts: [] }] = await retentionView(coffer.catalog, coffer.environmentId, {
    now: new Date(),
  })
  expect(verdicts.find(({ backup }) => backup === safety)).toMatchObject({ action: 'keep', policy_class: 'safety' })

  const back = await endOfPart(coffer, await startRestore(coffer, safety))
  expect(back).toMatchObject({ success: 'SUCCESS' })
  expect(seen(media.path)).toEqual(media.after)
})

test('a target whose safety backup fails is left as it is, and the restore says why', async () => {
  await using coffer = await startTestCoffer()
  await coffer.worker()
  const media = await changedMedia(coffer)
  await coffer.catalog.query(
    `WITH store AS (INSERT INTO stores (id, name, url, region, created_at)
                    VALUES (gen_random_uuid(), 'unmounted', $1, '', now()) RETURNING id)
     UPDATE environments SET store_id = store.id FROM store`,
    [`file://${coffer.folder}/unmounted`],
  )

  const part = await endOfPart(coffer, await startRestore(coffer, media.backupId))

  expect(part).toMatchObject({ success: 'FAILURE', errors: [{ code: 'SAFETY_BACKUP_FAILED' }] })
  expect(part.errors[0]?.message).toMatch(/safety backup \S+ of shop\/live has failed: STORE_/)
  expect(seen(media.path)).toEqual(media.after)
})

test('a safety backup that somebody cancels ends the restore that waits for it', async () => {
  await using coffer = await startTestCoffer({ env: { COFFER_RECONCILE_SECONDS: '3600' } })
  const media = await changedMedia(coffer)
  const looking = await coffer.worker({ killAt: 'restore-waits' })
  const id = await startRestore(coffer, media.backupId)
  await looking.ended
  const { uuid, safety_backup: safety } = await partOf(coffer, id)
  const claim = { id: uuid, attempt: 2, owner: 'test', leaseSeconds: 60, now: new Date() }
  expect(await claimRestore(coffer.catalog, claim)).toEqual({ refused: 'waiting' })
  await cancelBackup(coffer.catalog, safety ?? '', SCOPE, new Date())
  // By the end of the safety backup itself, not by a reconciler.
  expect(await coffer.catalog.query('SELECT FROM outbox WHERE job_id = $1', [`${uuid}-2`])).toHaveLength(1)
  coffer.ringer.nudge()
  await coffer.worker()

  const part = await endOfPart(coffer, id)
  expect(part.errors).toMatchObject([{ code: 'SAFETY_BACKUP_FAILED' }])
  expect(part.errors[0]?.message).toContain('it ended CANCELLED')
  expect(seen(media.path)).toEqual(media.after)
})

test('media that are all gone need no safety backup: there is nothing to protect, and the report says so', async () => {
  await using coffer = await startTestCoffer()
  await coffer.worker()
  const media = await changedMedia(coffer)
  for (const name of await readdir(`${media.path}/folder-0`)) await rm(`${media.path}/folder-0/${name}`)
  await rm(`${media.path}/new since.txt`)

  const emptied = await endOfPart(coffer, await startRestore(coffer, media.backupId))
  expect(emptied.report).toMatchObject({
    safety_backup: expect.stringMatching(/^none: there was nothing to protect \(the media folder/) as string,
  })
  expect(seen(media.path)).toEqual(media.before)

  await rm(media.path, { recursive: true })
  const missing = await endOfPart(coffer, await startRestore(coffer, media.backupId))
  expect(missing.report).toMatchObject({ safety_backup: 'none: the target was empty' })
  expect(missing.safety_backup).toBeNull()
  expect(seen(media.path)).toEqual(media.before)
})

test('without a safety backup, where an admin wants none, none is taken', async () => {
  await using coffer = await startTestCoffer()
  await coffer.worker()
  const media = await changedMedia(coffer)
  const part = await endOfPart(coffer, await startRestore(coffer, media.backupId, { safetyBackup: false }))
  expect(part).toMatchObject({ success: 'SUCCESS', safety_backup: null, attempt: 1 })
  expect(part.report).toMatchObject({ safety_backup: 'none: it was not wanted' })
  expect(seen(media.path)).toEqual(media.before)
})

test('Redis emptied while a restore waits for its safety backup: both are rung again from the catalog', async () => {
  await using coffer = await startTestCoffer()
  const media = await changedMedia(coffer)
  const looking = await coffer.worker({ killAt: 'restore-waits' })
  const id = await startRestore(coffer, media.backupId)
  await looking.ended
  await coffer.catalog.query('DELETE FROM outbox')
  await coffer.redis.flushdb()
  const backing = await coffer.worker({ killAt: 'after-claim' })
  await backing.ended
  await coffer.redis.flushdb()

  await coffer.worker()
  expect(await endOfPart(coffer, id)).toMatchObject({ success: 'SUCCESS', safety_backup: expect.any(String) as string })
  expect(seen(media.path)).toEqual(media.before)
})

test('while the safety backup is taken, the restore shows its progress and is not begun', async () => {
  await using coffer = await startTestCoffer()
  const media = await changedMedia(coffer)
  const frozen = await coffer.worker({
    killAt: 'after-claim',
    env: { COFFER_TEST_SIGNAL: 'SIGSTOP', COFFER_LEASE_SECONDS: '60' },
  })
  const id = await startRestore(coffer, media.backupId)
  await frozen.line(({ msg }) => msg === 'SIGSTOP at after-claim')
  await coffer.worker()

  const waiting = await until(async () => {
    const part = await partOf(coffer, id)
    return part.progress && part
  })
  expect(waiting).toMatchObject({ state: 'QUEUED', progress: { step: 'safety backup' } })
  expect(seen(media.path)).toEqual(media.after)
  frozen.kill('SIGCONT')
  expect(await endOfPart(coffer, id)).toMatchObject({ success: 'SUCCESS' })
})
