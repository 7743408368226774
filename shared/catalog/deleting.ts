import { resolveAlert } from './alerts.ts'
import type { Catalog, Db } from './database.ts'
import { GOOD } from './good.ts'
import { IS_READ } from './retention.ts'
import { metadataOf } from './verification-results.ts'

/** A service-instance backup whose objects are to go. `keyPrefix` null: it never had any. */
export interface Deletion {
  id: string
  storeUrl: string | null
  keyPrefix: string | null
  /** What the catalog knows to lie there, besides the manifest and the state. */
  keys: string[]
}

const DELETIONS = `
  SELECT s.id, st.url AS "storeUrl", s.key_prefix AS "keyPrefix",
         ARRAY(SELECT key FROM artifacts WHERE service_instance_backup_id = s.id) AS keys
    FROM service_instance_backups s JOIN backups b ON b.id = s.backup_id LEFT JOIN stores st ON st.id = s.store_id`

/** Those whose deletion has begun and not come to its end. */
export const listDeletions = (db: Db, environmentId: string): Promise<Deletion[]> =>
  db.query<Deletion>(`${DELETIONS} WHERE b.environment_id = $1 AND s.state = 'DELETING' ORDER BY s.queued_at, s.id`, [
    environmentId,
  ])

/** As `mayBeHeir` has it. */
const MAY_BE_HEIR = (alias: string) => `${alias}.policy_class IN ('scheduled', 'on_demand')`

/** A good one, neither temporary nor a safety backup, that nobody insisted on needs a newer good one of these that stays. */
const HAS_HEIR = `(NOT (${GOOD('s')}) OR NOT (${MAY_BE_HEIR('b')}) OR (b.delete_requested_at IS NOT NULL AND b.delete_forced)
  OR EXISTS (SELECT 1 FROM service_instance_backups n JOIN backups p ON p.id = n.backup_id
              WHERE n.service_instance_id = s.service_instance_id AND ${GOOD('n')} AND ${MAY_BE_HEIR('p')}
                AND (coalesce(p.due_at, p.created_at), n.id) > (coalesce(b.due_at, b.created_at), s.id)))`

/** What is corrupt is in quarantine until a person deletes it. */
const IS_RELEASED = '(s.corrupt_at IS NULL OR b.delete_requested_at IS NOT NULL)'

/**
 * COMPLETED → DELETING, from where there is no way back. What a plan has decided is asked again here, since it may have changed meanwhile:
 * null when it is held, read, run again, corrupt or the newest good one now.
 */
export async function beginDeletion(
  catalog: Catalog,
  { id, reason }: { id: string; reason: string },
): Promise<Deletion | null> {
  return catalog.transaction(async (tx) => {
    // The row's lock comes first, in a statement of its own: only a later one sees the lease of a reader who had it before.
    await tx.query(
      `SELECT 1 FROM backups WHERE id = (SELECT backup_id FROM service_instance_backups WHERE id = $1) FOR NO KEY UPDATE`,
      [id],
    )
    await tx.query('SELECT 1 FROM service_instance_backups WHERE id = $1 FOR UPDATE', [id])
    const [begun] = await tx.query<{ backup_id: string }>(
      `UPDATE service_instance_backups s SET state = 'DELETING', delete_reason = $2 FROM backups b
        WHERE s.id = $1 AND b.id = s.backup_id AND s.state = 'COMPLETED' AND b.held_at IS NULL AND NOT ${IS_READ} AND ${HAS_HEIR}
          AND ${IS_RELEASED}
       RETURNING s.backup_id`,
      [id, reason],
    )
    if (!begun) return null
    await tx.query(
      `UPDATE backups b SET state = 'DELETING' WHERE b.id = $1 AND b.state = 'COMPLETED' AND NOT EXISTS (
         SELECT 1 FROM service_instance_backups s WHERE s.backup_id = b.id AND s.state NOT IN ('DELETING', 'DELETED'))`,
      [begun.backup_id],
    )
    const [deletion] = await tx.query<Deletion>(`${DELETIONS} WHERE s.id = $1`, [id])
    return deletion ?? null
  })
}

const DELETED_RESOLVES = ['prune-failed', 'lost', 'suspect', 'corrupt', 'verify-unreadable', 'verify-failed'] as const

/** DELETING → DELETED, and the backup with its last part. Call only when its objects are confirmed to be gone. May run twice. */
export async function finishDeletion(catalog: Catalog, id: string, now: Date): Promise<void> {
  await catalog.transaction(async (tx) => {
    const [parent] = await tx.query<{ id: string }>(
      `SELECT id FROM backups WHERE id = (SELECT backup_id FROM service_instance_backups WHERE id = $1) FOR NO KEY UPDATE`,
      [id],
    )
    await tx.query(
      `UPDATE service_instance_backups SET state = 'DELETED', deleted_at = $2 WHERE id = $1 AND state = 'DELETING'`,
      [id, now],
    )
    await tx.query(
      `UPDATE backups b SET state = 'DELETED', deleted_at = $2 WHERE b.id = $1 AND b.state = 'DELETING' AND NOT EXISTS (
         SELECT 1 FROM service_instance_backups s WHERE s.backup_id = b.id AND s.state <> 'DELETED')`,
      [parent?.id, now],
    )
    for (const kind of DELETED_RESOLVES) await resolveAlert(tx, { kind, subject: id }, now)
    await resolveAlert(tx, { kind: 'verify-failed', subject: metadataOf(id) }, now)
  })
}
