import { expect, test } from 'vitest'
import type { Catalog } from '../../shared/catalog/database.ts'
import { beginDeletion } from '../../shared/catalog/deleting.ts'
import { createDownload } from '../../shared/catalog/downloads.ts'
import { holdBackup } from '../../shared/catalog/holds.ts'
import { createRestore } from '../../shared/catalog/restore-requests.ts'
import { retentionView } from '../../shared/catalog/retention.ts'
import { pruneEnvironment } from '../../workers/prune/prune-environment.ts'
import { startClockedWorker, type ClockedWorker } from '../support/clocked-worker.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { sealOnDemand } from '../support/sealed-backups.ts'
import { until } from '../support/until.ts'

const SCOPE = { organisationId: null }
const NOW = new Date('2031-05-20T12:00:00.000Z')

const download = (catalog: Catalog, backupId: string) =>
  createDownload(catalog, { backupId, trigger: 'MANUAL', lifeSeconds: 60, createdBy: null, scope: SCOPE, now: NOW })
const restore = (catalog: Catalog, backupId: string, part: string) =>
  createRestore(catalog, { backupId, targets: [{ serviceInstanceBackupId: part }], notes: '', scope: SCOPE, now: NOW })

async function twoOld(coffer: TestCoffer, worker: ClockedWorker) {
  await coffer.addService('STORAGE', 'file:///nowhere')
  const [doomed] = await sealOnDemand(coffer, worker, [60, 50, 40, 35])
  return { id: doomed?.id ?? '', part: doomed?.parts[0] ?? '' }
}

test.each(['download', 'restore'] as const)(
  'F13 the %s that comes first keeps it, and a deletion that comes first refuses it',
  async (kind) => {
    await using coffer = await startTestCoffer()
    await using worker = await startClockedWorker(coffer, { now: NOW })
    const { id, part } = await twoOld(coffer, worker)
    const read = () => (kind === 'download' ? download(coffer.catalog, id) : restore(coffer.catalog, id, part))
    await read()
    const [line] =
      (await retentionView(coffer.catalog, coffer.environmentId, { now: NOW }))[0]?.verdicts.slice(-1) ?? []
    expect(line).toMatchObject({ id: part, action: 'keep', rule: 'leased' })
    expect(await beginDeletion(coffer.catalog, { id: part, reason: 'test' })).toBeNull()

    await coffer.catalog.query('UPDATE leases SET expires_at = now()')
    await coffer.catalog.query(`UPDATE service_instance_restores SET state = 'COMPLETED', success = 'SUCCESS'`)
    expect(await beginDeletion(coffer.catalog, { id: part, reason: 'test' })).toMatchObject({ id: part })
    await expect(read()).rejects.toMatchObject({ code: 'CONFLICT' })
  },
)

test.each(['download', 'restore'] as const)(
  'F13 a deletion that meets a %s half way waits for it and then does nothing',
  async (kind) => {
    await using coffer = await startTestCoffer()
    await using worker = await startClockedWorker(coffer, { now: NOW })
    const { id, part } = await twoOld(coffer, worker)
    const reader = pausedBeforeCommit(coffer, () => beginDeletion(coffer.catalog, { id: part, reason: 'test' }))
    await (kind === 'download' ? download(reader, id) : restore(reader, id, part))
    expect(await reader.between).toBeNull()
  },
)

test.each(['download', 'restore'] as const)(
  'F13 a %s that meets a deletion half way waits for it and is refused',
  async (kind) => {
    await using coffer = await startTestCoffer()
    await using worker = await startClockedWorker(coffer, { now: NOW })
    const { id, part } = await twoOld(coffer, worker)
    const deleting = pausedBeforeCommit(coffer, () =>
      (kind === 'download' ? download(coffer.catalog, id) : restore(coffer.catalog, id, part)).then(
        () => 'read',
        (error: unknown) => (error as { code: string }).code,
      ),
    )
    expect(await beginDeletion(deleting, { id: part, reason: 'test' })).not.toBeNull()
    expect(await deleting.between).toBe('CONFLICT')
  },
)

test('F13 a hold that comes between the plan and the deletion keeps it', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  const { id, part } = await twoOld(coffer, worker)
  await holdBackup(coffer.catalog, id, { reason: 'audit', by: 'test' }, SCOPE, NOW)
  expect(await beginDeletion(coffer.catalog, { id: part, reason: 'test' })).toBeNull()
  expect((await pruneEnvironment(worker.context, coffer.environmentId, { dryRun: false })).deleted).toEqual([])
})

/** A catalog whose transaction, when all its statements are done, starts something and commits when that waits for its locks. */
function pausedBeforeCommit<T>(coffer: TestCoffer, meanwhile: () => Promise<T>): Catalog & { between: Promise<T> } {
  const { promise: between, resolve } = Promise.withResolvers<T>()
  return {
    ...coffer.catalog,
    between,
    transaction: (work) =>
      coffer.catalog.transaction(async (tx) => {
        const result = await work(tx)
        resolve(meanwhile())
        await until(async () => {
          const waiting = await coffer.catalog.query(
            `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`,
          )
          return waiting.length > 0
        })
        return result
      }),
  }
}
