import { getBackup } from './backups.ts'
import type { Catalog, Db } from './database.ts'
import { ringPruneOfBackup } from './prune-bells.ts'
import type { Scope } from './scope.ts'

/** A service-instance backup that was found with a manifest which this Coffer has not signed. */
export interface Unverified {
  id: string
  /** The manifest's own text. */
  text: string
  keyPrefix: string
  storeId: string
}

/** @throws NOT_FOUND */
export async function listUnverified(db: Db, backupId: string, scope: Scope): Promise<Unverified[]> {
  await getBackup(db, backupId, scope)
  return db.query<Unverified>(
    `SELECT s.id, s.manifest AS text, s.key_prefix AS "keyPrefix", s.store_id AS "storeId"
       FROM service_instance_backups s
      WHERE s.backup_id = $1 AND s.unverified_at IS NOT NULL AND s.state = 'COMPLETED' ORDER BY s.id`,
    [backupId],
  )
}

/** Call after the manifest was written. */
export async function recordAccepted(catalog: Catalog, id: string, manifest: string): Promise<void> {
  await catalog.transaction(async (tx) => {
    const [row] = await tx.query<{ backup_id: string }>(
      'UPDATE service_instance_backups SET manifest = $2, unverified_at = NULL WHERE id = $1 RETURNING backup_id',
      [id, manifest],
    )
    if (row) await ringPruneOfBackup(tx, row.backup_id)
  })
}
