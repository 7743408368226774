import type { Outcome } from '../domain/states.ts'
import type { Catalog, Db } from './database.ts'
import { ringServiceInstanceRestores } from './outbox.ts'
import { ringAfterRestore } from './restore-bells.ts'
import { fenceOf, IS_MINE, type RestoreFence } from './restore-runs.ts'
import { raiseUnfinished } from './restore-unfinished.ts'
import type { RunError } from './service-instance-backups.ts'

export interface RestoreEnd {
  success: Outcome
  report: Record<string, unknown> | null
  error: RunError | null
  /** The old state lies beside the target. */
  kept: boolean
  /** Its target may be half restored: an alert says so until somebody has made it whole. */
  isUnfinished?: boolean
  now: Date
}

const NOT_RUNNING = 'progress = NULL, owner = NULL, lease_expires_at = NULL'

/** RUNNING → COMPLETED, and the whole restore with it when it was the last part. May run twice; does nothing when another has taken over. */
export async function endRestore(catalog: Catalog, fence: RestoreFence, end: RestoreEnd): Promise<'ended' | 'fenced'> {
  const { isUnfinished = false, now } = end
  return catalog.transaction(async (tx) => {
    await lockParent(tx, fence.id)
    const [row] = await tx.query<{ restore_id: string; target: string }>(
      `UPDATE service_instance_restores SET state = 'COMPLETED', success = $4, report = $5, errors = errors || $6::jsonb, kept = $7,
              ended_at = $8, may_have_leftovers = $9, ${NOT_RUNNING}
        WHERE ${IS_MINE} AND action = 'restore' RETURNING restore_id, service_instance_id AS target`,
      [...fenceOf(fence), end.success, json(end.report), json(listed(end.error)), end.kept, now, isUnfinished],
    )
    if (!row) return 'fenced'
    if (isUnfinished) await raiseUnfinished(tx, fence.id, now)
    await closeRestore(tx, row.restore_id, now)
    await ringAfterRestore(tx, row.target)
    return 'ended'
  })
}

/** The restores into a service instance that have ended for good, newest first: what they left by which to tell how may go. */
export async function listEndedRestores(db: Db, serviceInstanceId: string): Promise<string[]> {
  const rows = await db.query<{ id: string }>(
    `SELECT id FROM service_instance_restores
      WHERE service_instance_id = $1 AND success IS NOT NULL AND NOT may_have_leftovers ORDER BY ended_at DESC LIMIT 100`,
    [serviceInstanceId],
  )
  return rows.map(({ id }) => id)
}

/** How a `confirm` or `undo` ends. `kept`: the old state lies there still, so that it can be asked for again. */
export interface SettlementEnd {
  error: RunError | null
  kept: boolean
  now: Date
}

/** RUNNING → COMPLETED of a `confirm` or `undo`. May run twice; does nothing when another has taken over. */
export async function endSettlement(
  catalog: Catalog,
  fence: RestoreFence,
  { error, kept, now }: SettlementEnd,
): Promise<'ended' | 'fenced'> {
  return catalog.transaction(async (tx) => {
    const [row] = await tx.query<{ target: string }>(
      `UPDATE service_instance_restores SET state = 'COMPLETED', errors = errors || $4::jsonb, kept = $5, ${NOT_RUNNING},
              confirmed_at = CASE WHEN $6 AND action = 'confirm' THEN $7 ELSE confirmed_at END,
              undone_at = CASE WHEN $6 AND action = 'undo' THEN $7 ELSE undone_at END
        WHERE ${IS_MINE} AND action <> 'restore' RETURNING service_instance_id AS target`,
      [...fenceOf(fence), json(listed(error)), kept, error === null, now],
    )
    if (!row) return 'fenced'
    await ringAfterRestore(tx, row.target)
    return 'ended'
  })
}

/** RUNNING → QUEUED at once and at no cost, for one whose worker was stopped. */
export const requeueRestore = (catalog: Catalog, fence: RestoreFence): Promise<void> =>
  catalog.transaction(async (tx) => {
    const [row] = await tx.query<{ target: string }>(
      `UPDATE service_instance_restores SET state = 'QUEUED', ${NOT_RUNNING}
        WHERE ${IS_MINE} RETURNING service_instance_id AS target`,
      fenceOf(fence),
    )
    if (!row) return
    await ringServiceInstanceRestores(tx, [fence.id])
    await ringAfterRestore(tx, row.target)
  })

export interface LapsedRestore extends RestoreFence {
  action: 'restore' | 'confirm' | 'undo'
  triesLeft: number
}

/** Those whose worker has shown no life for as long as its lease was. */
export const listLapsedRestores = (db: Db): Promise<LapsedRestore[]> =>
  db.query<LapsedRestore>(
    `SELECT id, attempt, owner, action, tries_left AS "triesLeft" FROM service_instance_restores
      WHERE state = 'RUNNING' AND lease_expires_at < now() ORDER BY queued_at, id`,
  )

/**
 * RUNNING → QUEUED for one whose worker died: the next attempt begins with making whole what it left. Costs a try.
 * Does nothing when it has come back to life.
 */
export const requeueLapsedRestore = (catalog: Catalog, fence: RestoreFence, error: RunError): Promise<void> =>
  catalog.transaction(async (tx) => {
    const [row] = await tx.query<{ target: string }>(
      `UPDATE service_instance_restores SET state = 'QUEUED', tries_left = tries_left - 1, may_have_leftovers = true,
              errors = errors || $4::jsonb, ${NOT_RUNNING}
        WHERE ${IS_MINE} AND lease_expires_at < now() RETURNING service_instance_id AS target`,
      [...fenceOf(fence), json([error])],
    )
    if (!row) return
    await ringServiceInstanceRestores(tx, [fence.id])
  })

const json = (value: unknown) => JSON.stringify(value)
const listed = (error: RunError | null) => (error ? [error] : [])

/** The parent's lock comes first, always: parts that end together would else leave it open. */
const lockParent = (tx: Db, partId: string) =>
  tx.query(
    'SELECT 1 FROM restores WHERE id = (SELECT restore_id FROM service_instance_restores WHERE id = $1) FOR UPDATE',
    [partId],
  )

/** Ends the restore when all its parts have ended. The caller holds its lock. */
export async function closeRestore(tx: Db, restoreId: string, now: Date): Promise<void> {
  await tx.query(
    `UPDATE restores r SET ended_at = $2,
            success = CASE WHEN p.all_good THEN 'SUCCESS' WHEN p.some_good THEN 'PARTIAL'
                           WHEN p.all_cancelled THEN 'CANCELLED' ELSE 'FAILURE' END
       FROM (SELECT bool_and(success IS NOT NULL) AS done, bool_and(success = 'SUCCESS') AS all_good,
                    bool_or(success IN ('SUCCESS', 'PARTIAL')) AS some_good, bool_and(success = 'CANCELLED') AS all_cancelled
               FROM service_instance_restores WHERE restore_id = $1) p
      WHERE r.id = $1 AND p.done`,
    [restoreId, now],
  )
}
