import { outcomeOfBackup, type Outcome } from '../domain/states.ts'
import type { Catalog, Db } from './database.ts'
import { ringServiceInstanceBackups } from './outbox.ts'
import { ringPruneOfBackup } from './prune-bells.ts'
import { ringNextRestore } from './restore-bells.ts'
import { lockParent, type Fence } from './runs.ts'
import type { RunError } from './service-instance-backups.ts'

/**
 * How an attempt that was not sealed ends. `retry` costs one of its tries and falls back to `fail` when none is left;
 * `requeue` costs none (its worker was stopped).
 */
export interface AttemptEnd {
  next: 'retry' | 'requeue' | 'fail' | 'cancel'
  error: RunError | null
  delaySeconds: number
  now: Date
}

/** RUNNING or SEALING → QUEUED or COMPLETED. May run twice; does nothing when another has taken over. */
export async function endAttempt(
  catalog: Catalog,
  fence: Fence,
  end: AttemptEnd,
): Promise<'queued' | 'completed' | 'fenced'> {
  return catalog.transaction(async (tx) => {
    await lockParent(tx, fence.id)
    const [lease] = await tx.query(
      `DELETE FROM leases WHERE kind = 'run' AND service_instance_backup_id = $1 AND attempt = $2 AND owner = $3 RETURNING id`,
      [fence.id, fence.attempt, fence.owner],
    )
    if (!lease) return 'fenced'
    const [row] = await tx.query<{ tries_left: number; cancel_requested: boolean }>(
      `UPDATE service_instance_backups
          SET errors = errors || $2::jsonb, progress = NULL, tries_left = tries_left - $3,
              plain_size = NULL, stored_size = NULL, files = NULL, taken_at = NULL, warnings = '[]'
        WHERE id = $1 RETURNING tries_left, cancel_requested_at IS NOT NULL AS cancel_requested`,
      [fence.id, JSON.stringify(end.error ? [end.error] : []), end.next === 'retry' ? 1 : 0],
    )
    await tx.query('DELETE FROM artifacts WHERE service_instance_backup_id = $1', [fence.id])
    const next = decideNext(end.next, row)
    if (next === 'queue') await queueAgain(tx, fence.id, end.delaySeconds)
    else await complete(tx, fence.id, next, end.now)
    await ringNext(tx, fence.id)
    return next === 'queue' ? 'queued' : 'completed'
  })
}

function decideNext(
  wanted: AttemptEnd['next'],
  row: { tries_left: number; cancel_requested: boolean } | undefined,
): 'queue' | 'FAILURE' | 'CANCELLED' {
  if (wanted === 'cancel' || row?.cancel_requested) return 'CANCELLED'
  if (wanted === 'requeue') return 'queue'
  return wanted === 'retry' && (row?.tries_left ?? 0) > 0 ? 'queue' : 'FAILURE'
}

async function queueAgain(tx: Db, id: string, delaySeconds: number): Promise<void> {
  await tx.query(
    `UPDATE service_instance_backups SET state = 'QUEUED', manifest = NULL, not_before = now() + make_interval(secs => $2) WHERE id = $1`,
    [id, delaySeconds],
  )
  await ringServiceInstanceBackups(tx, [id])
}

async function complete(tx: Db, id: string, success: Outcome, now: Date): Promise<void> {
  await tx.query(
    `UPDATE service_instance_backups SET state = 'COMPLETED', success = $2, ended_at = $3, manifest = NULL, cancel_requested_at = NULL
      WHERE id = $1`,
    [id, success, now],
  )
  await closeParent(tx, id, now)
}

/** Ends the backup when all siblings have ended, and rings for a prune if it was of any use. The caller holds the parent's lock. */
export async function closeParent(tx: Db, siblingId: string, now: Date): Promise<void> {
  const siblings = await tx.query<{ backup_id: string; service_instance_id: string; success: Outcome | null }>(
    `SELECT backup_id, service_instance_id, success FROM service_instance_backups
      WHERE backup_id = (SELECT backup_id FROM service_instance_backups WHERE id = $1)`,
    [siblingId],
  )
  const outcomes = siblings.map((sibling) => sibling.success).filter((success) => success !== null)
  if (outcomes.length < siblings.length) return
  const [{ backup_id: id } = { backup_id: '' }] = siblings
  const success = outcomeOfBackup(outcomes)
  await tx.query(`UPDATE backups SET state = 'COMPLETED', success = $2, ended_at = $3 WHERE id = $1`, [
    id,
    success,
    now,
  ])
  if (success === 'SUCCESS' || success === 'PARTIAL') await ringPruneOfBackup(tx, id)
  // It may be the safety backup that a restore waits for.
  for (const sibling of siblings) await ringNextRestore(tx, sibling.service_instance_id)
}

/** Rings for the longest waiting run of the same service instance, and the restore into it: their bells may have found this one in the way. */
export async function ringNext(tx: Db, siblingId: string): Promise<void> {
  const [instance] = await tx.query<{ id: string }>(
    'SELECT service_instance_id AS id FROM service_instance_backups WHERE id = $1',
    [siblingId],
  )
  if (instance) await ringNextRestore(tx, instance.id)
  const waiting = await tx.query<{ id: string }>(
    `SELECT id FROM service_instance_backups
      WHERE service_instance_id = $2 AND state = 'QUEUED' AND id <> $1 AND not_before <= now()
      ORDER BY queued_at, id LIMIT 1`,
    [siblingId, instance?.id],
  )
  await ringServiceInstanceBackups(
    tx,
    waiting.map((row) => row.id),
  )
}

/** Ends a QUEUED one that can't begin any more. The caller holds the parent's lock. */
export async function failQueued(tx: Db, id: string, error: RunError, now: Date): Promise<void> {
  await tx.query('UPDATE service_instance_backups SET errors = errors || $2::jsonb WHERE id = $1', [
    id,
    JSON.stringify([error]),
  ])
  await complete(tx, id, 'FAILURE', now)
}

/** Ends a QUEUED one by a cancel. The caller holds the parent's lock. */
export const cancelQueued = (tx: Db, id: string, now: Date): Promise<void> => complete(tx, id, 'CANCELLED', now)
