import type { Catalog, Db } from './database.ts'
import { ringServiceInstanceBackups, ringServiceInstanceRestores } from './outbox.ts'

/**
 * The condition that restore `r` may be claimed: no other restore and no backup of its target is under way, none waits that has its safety
 * backup already or may have left the target half restored (unless `r` itself is that one), and its own safety backup has ended.
 */
export const IS_READY = `(r.state = 'QUEUED'
  AND NOT EXISTS (SELECT 1 FROM service_instance_restores o
                   WHERE o.service_instance_id = r.service_instance_id AND o.id <> r.id
                     AND (o.state = 'RUNNING' OR (NOT r.may_have_leftovers AND o.state = 'QUEUED' AND o.action = 'restore'
                                                  AND (o.safety_backup_id IS NOT NULL OR o.may_have_leftovers))))
  AND NOT EXISTS (SELECT 1 FROM service_instance_backups s
                   WHERE s.service_instance_id = r.service_instance_id AND s.state IN ('RUNNING', 'SEALING'))
  AND NOT EXISTS (SELECT 1 FROM backups b WHERE b.id = r.safety_backup_id AND b.success IS NULL AND r.action = 'restore'))`

/** The condition that no bell of restore `r` waits to be rung. */
const IS_UNRUNG = `NOT EXISTS (SELECT 1 FROM outbox WHERE job_id = r.id || '-' || r.attempt + 1)`

/** Rings for the longest waiting restore into a service instance that can go on now. */
export async function ringNextRestore(tx: Db, serviceInstanceId: string): Promise<void> {
  const waiting = await tx.query<{ id: string }>(
    `SELECT r.id FROM service_instance_restores r
      WHERE r.service_instance_id = $1 AND ${IS_READY} AND ${IS_UNRUNG} ORDER BY r.queued_at, r.id LIMIT 1`,
    [serviceInstanceId],
  )
  await ringServiceInstanceRestores(
    tx,
    waiting.map((row) => row.id),
  )
}

/** Rings for whatever waited for a restore into this service instance to end: the next restore, and the longest waiting backup. */
export async function ringAfterRestore(tx: Db, serviceInstanceId: string): Promise<void> {
  await ringNextRestore(tx, serviceInstanceId)
  const waiting = await tx.query<{ id: string }>(
    `SELECT id FROM service_instance_backups WHERE service_instance_id = $1 AND state = 'QUEUED' AND not_before <= now()
      ORDER BY queued_at, id LIMIT 1`,
    [serviceInstanceId],
  )
  await ringServiceInstanceBackups(
    tx,
    waiting.map((row) => row.id),
  )
}

/** Writes doorbells again for restores that can go on, whose bell may have been lost with Redis: the longest waiting of each target. Returns how many. */
export async function ringRestoresDue(catalog: Catalog): Promise<number> {
  return catalog.transaction(async (tx) => {
    const due = await tx.query<{ id: string }>(
      `SELECT DISTINCT ON (r.service_instance_id) r.id FROM service_instance_restores r
        WHERE ${IS_READY} AND ${IS_UNRUNG} ORDER BY r.service_instance_id, r.queued_at, r.id LIMIT 1000`,
    )
    await ringServiceInstanceRestores(
      tx,
      due.map((row) => row.id),
    )
    return due.length
  })
}
