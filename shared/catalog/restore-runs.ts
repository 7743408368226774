import type { ArtifactRecord } from '../domain/artifact.ts'
import type { Selection } from '../domain/selection.ts'
import type { Outcome } from '../domain/states.ts'
import { CofferError } from '../errors.ts'
import { insertBackup } from './backups.ts'
import type { Catalog, Db } from './database.ts'
import { MEDIA_BOUNDS, type MediaBounds } from './media-bounds.ts'
import { IS_READY } from './restore-bells.ts'
import type { PreflightView, RestoreAction } from './restores.ts'
import type { RunProgress } from './service-instance-backups.ts'
import type { Egress } from './service-instances.ts'

/** One claimed action on the restore of one service-instance backup into one service instance. Fenced by `attempt` and `owner`. */
export interface ClaimedRestore {
  id: string
  restoreId: string
  action: RestoreAction
  attempt: number
  owner: string
  /** Attempts after this one, should its worker die. 0: this one only cleans up. */
  triesLeft: number
  cancelRequested: boolean
  /** This attempt, or an earlier one that was interrupted, has begun to write. */
  mayHaveLeftovers: boolean
  selection: Selection
  target: {
    id: string
    environmentId: string
    egress: Egress
    mediaBounds: MediaBounds
    /** `application/environment` */
    name: string
    /** null: it was found by a rebuild, and nobody has given it yet. */
    connection: Buffer | null
    /** The backup is of this very service instance. */
    isOrigin: boolean
    isDeleted: boolean
  }
  isConfirmed: boolean
  wantsSafetyBackup: boolean
  safetyBackup: SafetyBackup | null
  preflight: PreflightView | null
  storeUrl: string
  /** The manifest's own text, as it was sealed. */
  manifest: string
  artifacts: ArtifactRecord[]
  /** How long the backup took. */
  backupSeconds: number
}

/** The backup of the target that was taken before the restore. `failure`: of its last attempt. */
export interface SafetyBackup {
  id: string
  success: Outcome
  seconds: number
  failure: { code: string; message: string } | null
}

export type RestoreClaim = { claimed: ClaimedRestore } | { refused: 'waiting' | 'stale' }

export interface RestoreClaimRequest {
  id: string
  /** The attempt that the bell rings for: one more than the last. */
  attempt: number
  owner: string
  leaseSeconds: number
  now: Date
}

const CLAIM = `
  WITH claimed AS (
    UPDATE service_instance_restores SET state = 'RUNNING', attempt = $2, owner = $3, started_at = coalesce(started_at, $5),
           progress = NULL, lease_expires_at = now() + make_interval(secs => $4)
     WHERE id = $1 RETURNING *)
  SELECT c.id, c.restore_id AS "restoreId", c.action, c.attempt, c.owner, c.tries_left AS "triesLeft", c.selection, c.preflight,
         coalesce(extract(epoch FROM s.ended_at - s.started_at), 0)::float AS "backupSeconds",
         c.cancel_requested_at IS NOT NULL AS "cancelRequested", c.may_have_leftovers AS "mayHaveLeftovers", st.url AS "storeUrl", s.manifest,
         r.confirm IS NOT NULL AS "isConfirmed", r.safety_backup AS "wantsSafetyBackup", si.connection,
         jsonb_build_object('id', si.id, 'environmentId', e.id, 'egress', si.egress, 'mediaBounds', ${MEDIA_BOUNDS}, 'name', a.slug || '/' || e.slug,
                            'isOrigin', si.id = s.service_instance_id, 'isDeleted', si.deleted_at IS NOT NULL) AS target,
         (SELECT jsonb_build_object('id', b.id, 'success', b.success, 'seconds', extract(epoch FROM b.ended_at - b.created_at),
                                    'failure', sb.errors -> -1)
            FROM backups b JOIN service_instance_backups sb ON sb.backup_id = b.id WHERE b.id = c.safety_backup_id) AS "safetyBackup",
         (SELECT jsonb_agg(record) FROM artifacts WHERE service_instance_backup_id = s.id AND attempt = s.attempt) AS artifacts
    FROM claimed c
    JOIN restores r ON r.id = c.restore_id
    JOIN service_instance_backups s ON s.id = c.service_instance_backup_id
    JOIN service_instances si ON si.id = c.service_instance_id
    JOIN environments e ON e.id = si.environment_id
    JOIN applications a ON a.id = e.application_id
    JOIN organisations o ON o.id = a.organisation_id
    JOIN stores st ON st.id = s.store_id`

/**
 * QUEUED → RUNNING under a new attempt number and a lease. `waiting`: something else is under way with its target, or its safety backup is.
 * `stale`: this bell is not for the next attempt.
 */
export function claimRestore(catalog: Catalog, request: RestoreClaimRequest): Promise<RestoreClaim> {
  return catalog.transaction(async (tx) => {
    // The target's lock comes first, in a statement of its own: of a restore and a backup of one service instance, one begins.
    await tx.query(
      `SELECT 1 FROM service_instances WHERE id = (SELECT service_instance_id FROM service_instance_restores WHERE id = $1)
          FOR NO KEY UPDATE`,
      [request.id],
    )
    const [part] = await tx.query<{ ready: boolean }>(
      `SELECT ${IS_READY} AS ready FROM service_instance_restores r
        WHERE r.id = $1 AND r.state = 'QUEUED' AND r.attempt = $2 - 1 FOR UPDATE`,
      [request.id, request.attempt],
    )
    if (!part) return { refused: 'stale' }
    if (!part.ready) return { refused: 'waiting' }
    const { id, attempt, owner, leaseSeconds, now } = request
    const [row] = await tx.query<ClaimedRestore & { connection: Buffer }>(CLAIM, [
      id,
      attempt,
      owner,
      leaseSeconds,
      now,
    ])
    if (!row) throw new CofferError('INTERNAL', `restore ${id} has no store or no target`)
    const { connection, ...claimed } = row
    return { claimed: { ...claimed, target: { ...claimed.target, connection } } }
  })
}

export type RestoreFence = Pick<ClaimedRestore, 'id' | 'attempt' | 'owner'>

/** The parameters $1 to $3 of every write after the claim. */
export const fenceOf = ({ id, attempt, owner }: RestoreFence): [string, number, string] => [id, attempt, owner]
export const IS_MINE = `id = $1 AND attempt = $2 AND owner = $3 AND state = 'RUNNING'`

/** Prolongs the lease and shows the progress. `fenced`: another has taken it over. */
export async function renewRestore(
  db: Db,
  fence: RestoreFence,
  { leaseSeconds, progress }: { leaseSeconds: number; progress: RunProgress | null },
): Promise<'held' | 'cancel-requested' | 'fenced'> {
  const [row] = await db.query<{ cancelled: boolean }>(
    `UPDATE service_instance_restores SET lease_expires_at = now() + make_interval(secs => $4), progress = $5
      WHERE ${IS_MINE} RETURNING cancel_requested_at IS NOT NULL AND action = 'restore' AS cancelled`,
    [...fenceOf(fence), leaseSeconds, JSON.stringify(progress)],
  )
  if (!row) return 'fenced'
  return row.cancelled ? 'cancel-requested' : 'held'
}

/**
 * Records what the look at the target found; the last thing before anything is written, hence the question who may.
 * @throws RUN_FENCED, RUN_CANCELLED
 */
export async function recordPreflight(db: Db, fence: RestoreFence, preflight: PreflightView): Promise<void> {
  const [row] = await db.query<{ cancelled: boolean }>(
    `UPDATE service_instance_restores SET preflight = $4, may_have_leftovers = true WHERE ${IS_MINE}
     RETURNING cancel_requested_at IS NOT NULL AS cancelled`,
    [...fenceOf(fence), JSON.stringify(preflight)],
  )
  requireHeld(fence, row)
}

/** What is on record of its target by now; null: another decides about it. */
export async function recordOf(
  db: Db,
  fence: RestoreFence,
): Promise<Pick<ClaimedRestore, 'mayHaveLeftovers' | 'preflight'> | null> {
  const [row] = await db.query<Pick<ClaimedRestore, 'mayHaveLeftovers' | 'preflight'>>(
    `SELECT may_have_leftovers AS "mayHaveLeftovers", preflight FROM service_instance_restores WHERE ${IS_MINE}`,
    fenceOf(fence),
  )
  return row ?? null
}

/**
 * RUNNING → QUEUED until a backup of the target, and of it alone, has ended, which is created here. Costs no try. The caller knows that no
 * attempt has left anything in the target: it is open to the backup.
 * @returns its id
 * @throws RUN_FENCED, RUN_CANCELLED, NOT_FOUND (the target's environment is deleted)
 */
export function awaitSafetyBackup(
  catalog: Catalog,
  { target, ...restore }: ClaimedRestore,
  { preflight, maxTries, now }: { preflight: PreflightView; maxTries: number; now: Date },
): Promise<string> {
  return catalog.transaction(async (tx) => {
    const [row] = await tx.query<{ cancelled: boolean }>(
      `UPDATE service_instance_restores SET state = 'QUEUED', progress = NULL, owner = NULL, lease_expires_at = NULL, preflight = $4,
              may_have_leftovers = false
        WHERE ${IS_MINE} RETURNING cancel_requested_at IS NOT NULL AS cancelled`,
      [...fenceOf(restore), JSON.stringify(preflight)],
    )
    requireHeld(restore, row)
    const backupId = await insertBackup(tx, {
      environmentId: target.environmentId,
      services: [target.id],
      trigger: 'PRE_RESTORE',
      notes: `before restore ${restore.restoreId}`,
      scheduledForDeletionAt: null,
      maxTries,
      scope: { organisationId: null },
      now,
    })
    await tx.query('UPDATE service_instance_restores SET safety_backup_id = $2 WHERE id = $1', [restore.id, backupId])
    return backupId
  })
}

function requireHeld(fence: RestoreFence, row: { cancelled: boolean } | undefined): void {
  if (!row) throw new CofferError('RUN_FENCED', `restore ${fence.id}: another worker has taken it over`)
  if (row.cancelled) throw new CofferError('RUN_CANCELLED', `restore ${fence.id}: it was cancelled on request`)
}
