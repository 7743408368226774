import { listLost, listSealed, markFound, markLost, type SealedRow } from '../catalog/checks.ts'
import type { Catalog } from '../catalog/database.ts'
import { findAttempt } from '../catalog/lapses.ts'
import type { Clock } from '../clock.ts'
import { parseKey } from '../domain/keys.ts'
import { parseStagedKey } from '../domain/staged-key.ts'
import { isStagedNeeded } from '../catalog/staged-objects.ts'
import { MANIFEST_NAME } from '../domain/manifest.ts'
import type { Stores } from '../storage/open-stores.ts'
import type { Store } from '../storage/store.ts'

export interface CheckReport {
  /** How many objects and how many sealed service-instance backups were looked at. */
  objects: number
  backups: number
  /** Keys of objects that no backup of the catalog owns: the first 1000, and how many in all. Nothing is done to them. */
  unowned: string[]
  unowned_count: number
  /** Sealed service-instance backups that the store lacks objects of, with their keys. */
  lost: { service_instance_backup: string; environment: string; missing: string[] }[]
  /** Those that were lost and are all there again. */
  found: string[]
}

const SHOWN = 1000
const PAGE = 500
const FIRST_ID = '00000000-0000-0000-0000-000000000000'

/**
 * Compares a store with the catalog, both ways: objects without a row are reported, rows without their objects become `lost`, with an
 * alert, until they are found again. A store that can't be asked throws, and nothing becomes lost by it.
 * @param url the store's address as the catalog has it
 */
export async function checkStore(
  { catalog, clock }: { catalog: Catalog; clock: Clock },
  store: Store,
  url: string,
): Promise<CheckReport> {
  const report: CheckReport = { objects: 0, backups: 0, unowned: [], unowned_count: 0, lost: [], found: [] }
  await checkObjects(catalog, store, report)
  let after = FIRST_ID
  for (;;) {
    const rows = await listSealed(catalog, url, { after, limit: PAGE })
    for (const row of rows) await checkRow({ catalog, clock }, store, row, report)
    report.backups += rows.length
    const last = rows.at(-1)
    if (!last || rows.length < PAGE) return report
    after = last.id
  }
}

async function checkObjects(catalog: Catalog, store: Store, report: CheckReport): Promise<void> {
  let folder = { name: '', isOwned: false }
  for await (const { key } of store.list('')) {
    const name = key.slice(0, key.lastIndexOf('/') + 1)
    if (folder.name !== name || name === '') folder = { name, isOwned: await isOwned(catalog, key) }
    report.objects++
    if (folder.isOwned) continue
    report.unowned_count++
    if (report.unowned.length < SHOWN) report.unowned.push(key)
  }
}

async function isOwned(catalog: Catalog, key: string): Promise<boolean> {
  const upload = parseStagedKey(key)
  if (upload !== null) return (await isStagedNeeded(catalog, upload, key)) === true
  const parts = parseKey(key)
  const attempt = parts && (await findAttempt(catalog, parts))
  return attempt !== null && attempt.attempt === parts?.attempt && (attempt.running || attempt.sealed)
}

async function checkRow(
  { catalog, clock }: { catalog: Catalog; clock: Clock },
  store: Store,
  row: SealedRow,
  report: CheckReport,
): Promise<void> {
  const missing = await missingOf(store, row)
  if (missing.length > 0) {
    if (await markLost(catalog, row, missing, clock()))
      report.lost.push({ service_instance_backup: row.id, environment: row.environmentId, missing })
  } else if (row.isLost) {
    await markFound(catalog, row.id, clock())
    report.found.push(row.id)
  }
}

/** Keys of its manifest and artifacts that are not there, or not in their size. */
async function missingOf(store: Store, { keyPrefix, artifacts }: SealedRow): Promise<string[]> {
  const expected = [{ key: `${keyPrefix}${MANIFEST_NAME}`, stored_size: null }, ...artifacts]
  const missing: string[] = []
  for (const { key, stored_size } of expected) {
    const object = await store.head(key)
    if (!object || (stored_size !== null && object.size !== stored_size)) missing.push(key)
  }
  return missing
}

/** Looks once more for what was lost of an environment, before anything is decided about it: what is there again is good again. */
export async function findAgain(
  { catalog, clock, stores }: { catalog: Catalog; clock: Clock; stores: Stores },
  environmentId: string,
): Promise<void> {
  for (const row of await listLost(catalog, environmentId))
    if ((await missingOf(stores.open(row.storeUrl), row)).length === 0) await markFound(catalog, row.id, clock())
}
