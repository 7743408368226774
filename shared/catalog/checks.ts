import { raiseAlert, resolveAlert } from './alerts.ts'
import type { Catalog, Db } from './database.ts'

/** What the catalog says lies in a store. Sizes in bytes, stored. */
export interface SealedRow {
  id: string
  environmentId: string
  storeUrl: string
  keyPrefix: string
  artifacts: { key: string; stored_size: number }[]
  isLost: boolean
}

const SEALED = `
  SELECT s.id, b.environment_id AS "environmentId", st.url AS "storeUrl", s.key_prefix AS "keyPrefix", s.lost_at IS NOT NULL AS "isLost",
         coalesce((SELECT jsonb_agg(record) FROM artifacts t WHERE t.service_instance_backup_id = s.id), '[]') AS artifacts
    FROM service_instance_backups s JOIN backups b ON b.id = s.backup_id JOIN stores st ON st.id = s.store_id
   WHERE s.state = 'COMPLETED' AND s.success IN ('SUCCESS', 'PARTIAL')`

/** By id, from after `after` on. */
export const listSealed = (
  db: Db,
  url: string,
  { after, limit }: { after: string; limit: number },
): Promise<SealedRow[]> =>
  db.query<SealedRow>(`${SEALED} AND st.url = $1 AND s.id > $2 ORDER BY s.id LIMIT $3`, [url, after, limit])

/** Those of an environment that a check did not find in their store. */
export const listLost = (db: Db, environmentId: string): Promise<SealedRow[]> =>
  db.query<SealedRow>(`${SEALED} AND b.environment_id = $1 AND s.lost_at IS NOT NULL ORDER BY s.id`, [environmentId])

/** From here on it is bad, and counts for nothing. Does nothing to one that is being deleted meanwhile. @returns whether it is lost now */
export async function markLost(
  catalog: Catalog,
  row: SealedRow,
  missing: readonly string[],
  now: Date,
): Promise<boolean> {
  return catalog.transaction(async (tx) => {
    const marked = await tx.query(
      `UPDATE service_instance_backups SET lost_at = coalesce(lost_at, $2) WHERE id = $1 AND state = 'COMPLETED' RETURNING id`,
      [row.id, now],
    )
    if (marked.length === 0) return false
    const message = `the store lacks ${missing.join(', ')} of service-instance backup ${row.id}`
    await raiseAlert(tx, { kind: 'lost', subject: row.id, environmentId: row.environmentId, message }, now)
    return true
  })
}

/** For one whose objects are all there again. */
export async function markFound(catalog: Catalog, id: string, now: Date): Promise<void> {
  await catalog.transaction(async (tx) => {
    await tx.query('UPDATE service_instance_backups SET lost_at = NULL WHERE id = $1', [id])
    await resolveAlert(tx, { kind: 'lost', subject: id }, now)
  })
}
