import { describe, expect, test } from 'vitest'
import { createBackup } from '../../shared/catalog/backups.ts'
import { MANIFEST_NAME } from '../../shared/domain/manifest.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { createTestDatabase } from '../support/databases.ts'
import { fillFolder, fillTable } from '../support/sample-data.ts'
import { startS3Server } from '../support/s3-server/server.ts'
import { until } from '../support/until.ts'

const KILL_POINTS = [
  'after-claim',
  'mid-part',
  'before-complete',
  'after-complete',
  'before-manifest',
  'after-manifest',
]

/** One manifest, the objects of the sealed attempt, nothing else; no upload left open. */
async function expectNothingButTheSealed(coffer: TestCoffer, backupId: string): Promise<void> {
  const parts = await coffer.parts(backupId)
  const sealed = parts.map(({ prefix, service_type, attempt }) => `/${prefix}-${service_type}.${attempt}/`)
  const objects = await until(async () => {
    const keys = await coffer.objects()
    const isClean = keys.every((key) => sealed.some((folder) => key.includes(folder)))
    return isClean && keys
  })
  expect(objects.filter((key) => key.endsWith(MANIFEST_NAME))).toHaveLength(parts.length)
  await until(async () => (await Array.fromAsync(coffer.store.pendingUploads(''))).length === 0)
}

describe.each(['file', 's3'] as const)('F1 a worker that is killed, %s store', (kind) => {
  test.each(KILL_POINTS)('at %s: the backup ends sealed once, with one manifest and no orphan', async (step) => {
    await using s3 = kind === 's3' ? await startS3Server() : null
    await using coffer = await startTestCoffer({ s3, env: { COFFER_SWEEP_SECONDS: '0.5' } })
    const source = await createTestDatabase()
    await fillTable(source.url, 40_000, 960)
    await coffer.addService('DATABASE', source.url)
    const doomed = await coffer.worker({ killAt: step })
    const { uuid } = await coffer.backup()
    await doomed.ended
    expect(doomed.output()).toContain(`SIGKILL at ${step}`)
    expect(doomed.child.signalCode).toBe('SIGKILL')
    expect(doomed.output()).not.toContain('run sealed')

    await coffer.worker()
    const backup = await coffer.ended(uuid)

    expect(backup.success).toBe('SUCCESS')
    const [part] = await coffer.parts(uuid)
    expect(part).toMatchObject({ success: 'SUCCESS', attempt: step === 'after-manifest' ? 1 : 2 })
    await expectNothingButTheSealed(coffer, uuid)
    await source.drop()
  })
})

test('F1 a worker that is killed while a media archive flows is followed by one sealed attempt', async () => {
  await using coffer = await startTestCoffer({ env: { COFFER_SWEEP_SECONDS: '0.5' } })
  const media = await coffer.mediaRoot('shop')
  await fillFolder(media.path, 3_000, 4_096)
  await coffer.addService('STORAGE', media.url)
  const doomed = await coffer.worker({ killAt: 'mid-part' })
  const { uuid } = await coffer.backup()
  await doomed.ended

  await coffer.worker()
  expect((await coffer.ended(uuid)).success).toBe('SUCCESS')
  await expectNothingButTheSealed(coffer, uuid)
})

test('F2 a run that kills every worker fails for good when its tries are spent', async () => {
  await using coffer = await startTestCoffer()
  const source = await createTestDatabase()
  await coffer.addService('DATABASE', source.url)
  const { uuid } = await coffer.backup()
  for (let death = 0; death < 3; death++) await (await coffer.worker({ killAt: 'after-claim' })).ended
  await coffer.worker()

  expect((await coffer.ended(uuid)).success).toBe('FAILURE')
  const [part] = await coffer.parts(uuid)
  expect(part?.errors.map(({ code, attempt }) => [code, attempt])).toEqual([
    ['RUN_ABANDONED', 1],
    ['RUN_ABANDONED', 2],
    ['RUN_ABANDONED', 3],
  ])
  await source.drop()
})

test.each(['mid-part', 'before-manifest', 'after-manifest'])(
  'F3 a worker that freezes at %s and thaws after another has taken over changes nothing',
  async (step) => {
    await using coffer = await startTestCoffer({ env: { COFFER_SWEEP_SECONDS: '0.5' } })
    const source = await createTestDatabase()
    await fillTable(source.url, 40_000, 960)
    await coffer.addService('DATABASE', source.url)
    const frozen = await coffer.worker({ killAt: step, env: { COFFER_TEST_SIGNAL: 'SIGSTOP' } })
    const { uuid } = await coffer.backup()
    await frozen.line(({ msg }) => msg === `SIGSTOP at ${step}`)
    await coffer.worker()
    expect((await coffer.ended(uuid)).success).toBe('SUCCESS')
    const [before] = await coffer.parts(uuid)

    frozen.kill('SIGCONT')
    await frozen.line(({ msg }) => msg === 'run ended without a seal' || msg === 'run sealed')
    const [after] = await coffer.parts(uuid)
    expect(after).toEqual(before)
    await expectNothingButTheSealed(coffer, uuid)
    await source.drop()
  },
)

test('a lapsed run whose store does not answer keeps no bell of others from being rung', async () => {
  await using s3 = await startS3Server()
  await using coffer = await startTestCoffer({ s3 })
  const source = await createTestDatabase()
  await coffer.addService('DATABASE', source.url)
  const { uuid } = await coffer.backup()
  await (
    await coffer.worker({ killAt: 'before-manifest' })
  ).ended
  const settling = s3.fault({ op: 'HeadObject', key: 'manifest\\.json$', kind: 'stall', when: 'before-headers' })
  await coffer.worker({ env: { COFFER_SWEEP_SECONDS: '3600' } })
  await settling.struck

  const second = await coffer.addService('DATABASE', source.url, 'SECOND')
  // Nobody rings for it but the reconciler.
  const other = await createBackup(coffer.catalog, {
    environmentId: coffer.environmentId,
    services: [second],
    trigger: 'MANUAL',
    notes: '',
    scheduledForDeletionAt: null,
    maxTries: 3,
    scope: { organisationId: null },
    now: new Date(),
  })
  expect((await coffer.ended(other.uuid)).success).toBe('SUCCESS')
  expect((await coffer.parts(uuid))[0]).toMatchObject({ state: 'SEALING' })
  await source.drop()
})

test.each(['ListMultipartUploads', 'DeleteObject'])(
  'a lapsed run is settled though the store refuses %s, since no manifest lies there',
  async (op) => {
    await using s3 = await startS3Server()
    await using coffer = await startTestCoffer({ s3 })
    const source = await createTestDatabase()
    await coffer.addService('DATABASE', source.url)
    const { uuid } = await coffer.backup()
    await (
      await coffer.worker({ killAt: 'before-manifest' })
    ).ended
    s3.fault({ op, kind: 'status', status: 403, code: 'AccessDenied', times: 1_000 })

    await coffer.worker()
    expect((await coffer.ended(uuid)).success).toBe('SUCCESS')
    const manifests = (await coffer.objects()).filter((key) => key.endsWith(MANIFEST_NAME))
    expect(manifests).toEqual([expect.stringMatching(/\.2\/manifest\.json$/)])
    await source.drop()
  },
)
