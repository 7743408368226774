import { openCatalog, type Catalog } from '../../shared/catalog/database.ts'
import { migrate } from '../../shared/catalog/migrate.ts'
import { ensureDefaultOrganisation } from '../../shared/catalog/organisations.ts'
import { ensureDefaultStore } from '../../shared/catalog/stores.ts'
import { rebuildFrom, type RebuildReport } from '../../shared/rebuild/rebuild-store.ts'
import type { Store } from '../../shared/storage/store.ts'
import type { TestCoffer } from './coffer.ts'
import { createTestDatabase } from './databases.ts'

export interface SecondCatalog extends AsyncDisposable {
  catalog: Catalog
  url: string
  /** Rebuilds this catalog from the store of the Coffer that has lost its own. */
  rebuild(options?: { store?: Store; now?: Date }): Promise<RebuildReport>
}

/** An empty catalog beside the one of a Coffer, as a producer leaves it after a start with the same configuration. */
export async function startSecondCatalog(coffer: TestCoffer): Promise<SecondCatalog> {
  const database = await createTestDatabase()
  await migrate(database.url, () => undefined)
  const catalog = openCatalog({ url: database.url, maxConnections: 4, onError: () => undefined })
  await ensureDefaultOrganisation(catalog, new Date())
  await ensureDefaultStore(catalog, coffer.env.COFFER_STORAGE_URL ?? '', new Date())
  return {
    catalog,
    url: database.url,
    rebuild: ({ store = coffer.store, now = new Date() } = {}) => rebuildInto(catalog, coffer, store, now),
    async [Symbol.asyncDispose]() {
      await catalog.close()
      await database.drop()
    },
  }
}

/** Rebuilds a catalog from a store, which is its default one. */
export async function rebuildInto(
  catalog: Catalog,
  { secrets, store: own }: Pick<TestCoffer, 'secrets' | 'store'>,
  store: Store = own,
  now = new Date(),
): Promise<RebuildReport> {
  const [place] = await catalog.query<{ id: string }>('SELECT id FROM stores WHERE is_default')
  return rebuildFrom({ catalog, secrets, clock: () => now }, store, { id: place?.id ?? '', isDefault: true })
}

/** Everything that a catalog says about sealed backups and that a manifest or state.json has; without what belongs to one catalog only. */
export async function sealedContents(catalog: Catalog): Promise<Record<string, unknown[]>> {
  const tables = {
    organisations: 'SELECT id, slug, name FROM organisations ORDER BY id',
    applications: 'SELECT id, organisation_id, slug, name FROM applications ORDER BY id',
    environments: 'SELECT id, application_id, slug, store_id, timezone FROM environments ORDER BY id',
    serviceInstances: 'SELECT id, environment_id, type, prefix FROM service_instances ORDER BY id',
    backups: `SELECT id, environment_id, state, success, trigger, policy_class, notes, due_at, bucket_date, scheduled_for_deletion_at,
                     hold_reason, held_at, created_at FROM backups
               WHERE success IN ('SUCCESS', 'PARTIAL') AND state <> 'DELETED' ORDER BY id`,
    parts: `SELECT s.id, s.backup_id, s.service_instance_id, s.state, s.success, s.attempt, s.label, s.key_prefix, s.manifest, s.recipients,
                   s.plain_size, s.stored_size, s.files, s.warnings, s.started_at, s.ended_at, s.taken_at, st.url AS store
              FROM service_instance_backups s JOIN stores st ON st.id = s.store_id
             WHERE s.state = 'COMPLETED' AND s.success IN ('SUCCESS', 'PARTIAL') ORDER BY s.id`,
    artifacts: `SELECT t.service_instance_backup_id, t.attempt, t.kind, t.key, t.record
                  FROM artifacts t JOIN service_instance_backups s ON s.id = t.service_instance_backup_id
                 WHERE s.state = 'COMPLETED' ORDER BY t.key`,
  }
  const entries = Object.entries(tables).map(async ([name, sql]) => [name, await catalog.query(sql)] as const)
  return Object.fromEntries(await Promise.all(entries))
}
