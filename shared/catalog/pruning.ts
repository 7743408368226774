import { CofferError } from '../errors.ts'
import { raiseAlert, resolveAlert } from './alerts.ts'
import type { Catalog, Db } from './database.ts'
import { ringPrune } from './prune-bells.ts'
import { isUuid, type Scope } from './scope.ts'

/** What is on record about the pruning of an environment. */
export interface PruningState {
  lastPrunedAt: Date | null
  stoppedReason: string | null
  /** A person has allowed the next prune, whatever the guards say. */
  allowedAt: Date | null
}

/** Notes that a prune begins. @returns null: there is no such environment */
export async function beginPrune(db: Db, environmentId: string, now: Date): Promise<PruningState | null> {
  const [row] = await db.query<PruningState>(
    `UPDATE environments SET prune_tried_at = $2 WHERE id = $1
     RETURNING last_pruned_at AS "lastPrunedAt", pruning_stopped_reason AS "stoppedReason", pruning_allowed_at AS "allowedAt"`,
    [environmentId, now],
  )
  return row ?? null
}

/** Notes that a prune was let through and has come to its end. Permission for one prune is used up with it. */
export async function recordPruned(db: Db, environmentId: string, now: Date): Promise<void> {
  await db.query('UPDATE environments SET last_pruned_at = $2, pruning_allowed_at = NULL WHERE id = $1', [
    environmentId,
    now,
  ])
}

/** Nothing of this environment is pruned from now on, until a person allows it. */
export async function stopPruning(catalog: Catalog, environmentId: string, reason: string, now: Date): Promise<void> {
  await catalog.transaction((tx) => stopPruningIn(tx, environmentId, reason, now))
}

/** The same in a transaction of the caller. A permission that was given earlier does not count any more. */
export async function stopPruningIn(tx: Db, environmentId: string, reason: string, now: Date): Promise<void> {
  await tx.query(
    `UPDATE environments SET pruning_stopped_reason = $2, pruning_stopped_at = $3, pruning_allowed_at = NULL WHERE id = $1`,
    [environmentId, reason, now],
  )
  const message = `pruning has stopped: ${reason}`
  await raiseAlert(tx, { kind: 'prune-stopped', subject: environmentId, environmentId, message }, now)
}

/**
 * Lets the next prune pass the guards, and rings for it. Deleted environments, too: their backups are still pruned.
 * @throws NOT_FOUND, CONFLICT (it has not stopped)
 */
export async function resumePruning(catalog: Catalog, environmentId: string, scope: Scope, now: Date): Promise<void> {
  await catalog.transaction(async (tx) => {
    const [row] = isUuid(environmentId)
      ? await tx.query<{ stopped: boolean }>(
          `SELECT e.pruning_stopped_at IS NOT NULL AS stopped FROM environments e JOIN applications a ON a.id = e.application_id
            WHERE e.id = $1 AND ($2::uuid IS NULL OR a.organisation_id = $2) FOR UPDATE OF e`,
          [environmentId, scope.organisationId],
        )
      : []
    if (!row) throw new CofferError('NOT_FOUND', `there is no environment ${environmentId}`)
    if (!row.stopped) throw new CofferError('CONFLICT', `pruning of environment ${environmentId} has not stopped`)
    await tx.query(
      `UPDATE environments SET pruning_stopped_reason = NULL, pruning_stopped_at = NULL, pruning_allowed_at = $2 WHERE id = $1`,
      [environmentId, now],
    )
    await resolveAlert(tx, { kind: 'prune-stopped', subject: environmentId }, now)
    await ringPrune(tx, environmentId)
  })
}

/** Gives service-instance backups their new labels, all at once: promoted before anything is deleted. */
export async function applyLabels(db: Db, labels: readonly { id: string; label: string | null }[]): Promise<void> {
  if (labels.length === 0) return
  await db.query(
    `UPDATE service_instance_backups s SET label = n.label
       FROM unnest($1::uuid[], $2::text[]) AS n (id, label) WHERE s.id = n.id AND s.state = 'COMPLETED'`,
    [labels.map(({ id }) => id), labels.map(({ label }) => label)],
  )
}
