import { describe, expect, test } from 'vitest'
import { holdBackup, setDeletionDate } from '../../shared/catalog/holds.ts'
import { resumePruning } from '../../shared/catalog/pruning.ts'
import type { Catalog } from '../../shared/catalog/database.ts'
import { CofferError } from '../../shared/errors.ts'
import type { Store } from '../../shared/storage/store.ts'
import { pruneEnvironment } from '../../workers/prune/prune-environment.ts'
import { startClockedWorker, type ClockedWorker } from '../support/clocked-worker.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { daysBefore, sealBackup } from '../support/sealed-backups.ts'
import { rebuildInto, sealedContents, startSecondCatalog } from '../support/second-catalog.ts'

const SCOPE = { organisationId: null }
const NOW = new Date('2026-03-01T12:00:00Z')
const MEDIA = 'file:///srv/media'

/** Two service instances; more daily backups than are kept, a held one, one with a date of its own, a partial and a failed one. */
async function historyOf(coffer: TestCoffer, worker: ClockedWorker): Promise<{ held: string; dated: string }> {
  await coffer.addService('STORAGE', MEDIA)
  await coffer.addService('STORAGE', MEDIA, 'THUMBNAILS')
  for (let age = 9; age > 0; age -= 1) await sealBackup(coffer, worker, { at: daysBefore(NOW, age) })
  const held = await sealBackup(coffer, worker, { at: daysBefore(NOW, 60), trigger: 'MANUAL' })
  await holdBackup(coffer.catalog, held.id, { reason: 'before the audit', by: 'ops' }, SCOPE, daysBefore(NOW, 59))
  const deleteAt = new Date('2026-04-01T00:00:00Z')
  const dated = await sealBackup(coffer, worker, { at: daysBefore(NOW, 2), trigger: 'MANUAL', deleteAt })
  await setDeletionDate(coffer.catalog, dated.id, new Date('2026-05-01T00:00:00Z'), SCOPE, NOW)
  const undated = await sealBackup(coffer, worker, { at: daysBefore(NOW, 2), trigger: 'MANUAL', deleteAt })
  await setDeletionDate(coffer.catalog, undated.id, null, SCOPE, NOW)
  await sealBackup(coffer, worker, { at: daysBefore(NOW, 1), trigger: 'MANUAL', success: 'PARTIAL' })
  await sealBackup(coffer, worker, { at: daysBefore(NOW, 1), trigger: 'MANUAL', success: 'FAILURE' })
  await pruneEnvironment(worker.context, coffer.environmentId, { dryRun: false })
  return { held: held.id, dated: dated.id }
}

/** Stores are rows with ids of their own. */
const withoutStores = ({ environments, ...rest }: Record<string, unknown[]>) => ({
  ...rest,
  environments: environments?.map((environment) => ({ ...(environment as object), store_id: null })),
})

const prune = (worker: ClockedWorker, catalog: Catalog, coffer: TestCoffer) =>
  pruneEnvironment({ ...worker.context, catalog }, coffer.environmentId, { dryRun: false })

describe('a lost catalog', () => {
  test('is put together again from manifests and states alone: names, ids, dates, labels, holds, artifacts', async () => {
    await using coffer = await startTestCoffer()
    await using worker = await startClockedWorker(coffer, { now: NOW })
    const { held, dated } = await historyOf(coffer, worker)
    await using second = await startSecondCatalog(coffer)

    const report = await second.rebuild()

    const expected = await sealedContents(coffer.catalog)
    expect(expected.backups?.length).toBeGreaterThan(10)
    expect(withoutStores(await sealedContents(second.catalog))).toEqual(withoutStores(expected))
    expect(report).toMatchObject({
      manifests: expected.parts?.length,
      added: expected.parts?.length,
      made: { applications: 1, environments: 1, service_instances: 2 },
      lost: [],
      rejected: [],
      differences: [],
      unverified: [],
      pruning_stopped: [coffer.environmentId],
    })
    const byId = new Map(
      (expected.backups as { id: string; hold_reason: string | null; scheduled_for_deletion_at: Date | null }[]).map(
        (backup) => [backup.id, backup],
      ),
    )
    expect(byId.get(held)?.hold_reason).toBe('before the audit')
    expect(byId.get(dated)?.scheduled_for_deletion_at?.toISOString()).toBe('2026-05-01T00:00:00.000Z')
  })

  test('is not pruned, whatever the policy says, until a person has allowed it; no schedule runs', async () => {
    await using coffer = await startTestCoffer()
    await using worker = await startClockedWorker(coffer, { now: NOW })
    await coffer.addService('STORAGE', MEDIA)
    for (const age of [300, 200, 100, 90, 80, 1])
      await sealBackup(coffer, worker, { at: daysBefore(NOW, age), trigger: 'MANUAL' })
    const objects = await coffer.objects()
    await using second = await startSecondCatalog(coffer)
    await second.rebuild()

    expect(await prune(worker, second.catalog, coffer)).toMatchObject({ outcome: 'stopped', deleted: [] })
    expect(await coffer.objects()).toEqual(objects)
    expect(await second.catalog.query('SELECT 1 FROM schedules')).toEqual([])
    const open = await second.catalog.query<{ kind: string }>('SELECT kind FROM alerts WHERE resolved_at IS NULL')
    expect(open).toEqual([{ kind: 'prune-stopped' }])

    await resumePruning(second.catalog, coffer.environmentId, SCOPE, NOW)
    const allowed = await prune(worker, second.catalog, coffer)
    expect(allowed.outcome).toBe('pruned')
    expect(allowed.deleted).toHaveLength(2)
  })

  test('may be rebuilt by a producer that dies half way, and by the next one: the second adds only the rest', async () => {
    await using coffer = await startTestCoffer()
    await using worker = await startClockedWorker(coffer, { now: NOW })
    await historyOf(coffer, worker)
    await using second = await startSecondCatalog(coffer)
    const away = new CofferError('STORE_UNREACHABLE', 'it went away')
    await expect(second.rebuild({ store: failingAfter(coffer.store, 10, away) })).rejects.toBe(away)
    const half = (await sealedContents(second.catalog)).parts?.length ?? 0
    expect(half).toBeGreaterThan(0)

    const report = await second.rebuild()
    const expected = await sealedContents(coffer.catalog)
    expect(withoutStores(await sealedContents(second.catalog))).toEqual(withoutStores(expected))
    expect(report).toMatchObject({ known: half, added: (expected.parts?.length ?? 0) - half })
    expect(await second.rebuild()).toMatchObject({
      added: 0,
      adopted: 0,
      known: expected.parts?.length,
      pruning_stopped: [],
    })
  })
})

describe('a living catalog', () => {
  test('gets what it lacks, and keeps everything else as it is', async () => {
    await using coffer = await startTestCoffer()
    await using worker = await startClockedWorker(coffer, { now: NOW })
    await historyOf(coffer, worker)
    const before = await sealedContents(coffer.catalog)
    const [gone] = before.backups as { id: string }[]
    await forget(coffer.catalog, gone?.id ?? '')
    await coffer.catalog.query(`UPDATE backups SET notes = 'written since'`)
    await coffer.catalog.query(`UPDATE applications SET slug = 'renamed', name = 'Renamed'`)

    const report = await rebuildInto(coffer.catalog, coffer)
    expect(report).toMatchObject({ added: 2, differences: [], pruning_stopped: [coffer.environmentId] })
    const after = await sealedContents(coffer.catalog)
    expect(after.parts).toEqual(before.parts)
    expect((after.backups as { notes: string }[]).filter(({ notes }) => notes === '')).toHaveLength(1)
    expect(after.applications).toMatchObject([{ slug: 'renamed' }])
  })

  test('in which others have taken the old names since: what is made again has its id in its name', async () => {
    await using coffer = await startTestCoffer()
    await using worker = await startClockedWorker(coffer, { now: NOW })
    await coffer.addService('STORAGE', MEDIA)
    await sealBackup(coffer, worker, { at: NOW })
    await using second = await startSecondCatalog(coffer)
    await second.catalog.query(
      `INSERT INTO applications (id, organisation_id, slug, name, created_at)
       SELECT gen_random_uuid(), id, 'shop', 'Another shop', now() FROM organisations`,
    )
    await second.rebuild()
    const [old] = await coffer.catalog.query<{ id: string }>('SELECT id FROM applications')
    const slugs = await second.catalog.query<{ slug: string }>('SELECT slug FROM applications ORDER BY slug')
    expect(slugs).toEqual([{ slug: 'shop' }, { slug: `shop-${old?.id.slice(0, 8)}` }])
  })
})

describe('what lies in the store and is not whole', () => {
  test('becomes lost, with an alert, when an artifact is gone', async () => {
    await using coffer = await startTestCoffer()
    await using worker = await startClockedWorker(coffer, { now: NOW })
    await coffer.addService('STORAGE', MEDIA)
    const { parts } = await sealBackup(coffer, worker, { at: NOW })
    const artifact = (await coffer.objects()).find((key) => key.endsWith('.age')) ?? ''
    await coffer.store.delete(artifact)
    await using second = await startSecondCatalog(coffer)
    const lost = [{ service_instance_backup: parts[0], missing: [artifact] }]
    expect(await second.rebuild()).toMatchObject({ added: 1, lost })
    const rows = await second.catalog.query(
      `SELECT kind FROM alerts WHERE kind = 'lost' AND subject = $1 AND resolved_at IS NULL`,
      [parts[0]],
    )
    expect(rows).toHaveLength(1)
    expect(await second.catalog.query('SELECT 1 FROM service_instance_backups WHERE lost_at IS NOT NULL')).toHaveLength(
      1,
    )
  })
})

/** As if the backup had been made after the copy that this catalog is. */
async function forget(catalog: Catalog, backupId: string): Promise<void> {
  const parts = 'SELECT id FROM service_instance_backups WHERE backup_id = $1'
  await catalog.query(`DELETE FROM artifacts WHERE service_instance_backup_id IN (${parts})`, [backupId])
  await catalog.query('DELETE FROM service_instance_backups WHERE backup_id = $1', [backupId])
  await catalog.query('DELETE FROM events WHERE backup_id = $1', [backupId])
  await catalog.query('DELETE FROM backups WHERE id = $1', [backupId])
}

/** Reads so many objects, then is away. */
function failingAfter(store: Store, reads: number, error: CofferError): Store {
  let left = reads
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      if (name === 'read' && left-- <= 0) return () => Promise.reject(error)
      return (value as (...args: unknown[]) => unknown).bind(target)
    },
  })
}
