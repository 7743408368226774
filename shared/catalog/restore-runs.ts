import type { ArtifactRecord } from '../domain/artifact.ts'
import type { Outcome, ServiceType } from '../domain/states.ts'
import { violatedConstraint, type Catalog, type Db } from './database.ts'
import { ringServiceInstanceRestores } from './outbox.ts'
import type { RunError, RunProgress } from './service-instance-backups.ts'

/** One claimed restore of one service-instance backup into one service instance. */
export interface ClaimedRestore {
  id: string
  attempt: number
  owner: string
  target: { id: string; type: ServiceType; connection: Buffer | null }
  storeUrl: string
  /** The manifest's own text, as it was sealed. */
  manifest: string
  artifacts: ArtifactRecord[]
}

export type RestoreClaim = { claimed: ClaimedRestore } | { refused: 'waiting' | 'stale' }

export async function claimRestore(
  catalog: Catalog,
  request: { id: string; attempt: number; owner: string; leaseSeconds: number; now: Date },
): Promise<RestoreClaim> {
  try {
    const [row] = await catalog.query<ClaimedRestore>(
      `WITH claimed AS (
         UPDATE service_instance_restores SET state = 'RUNNING', attempt = $2, owner = $3, started_at = $5,
                lease_expires_at = now() + make_interval(secs => $4)
          WHERE id = $1 AND state = 'QUEUED' AND attempt = $2 - 1 RETURNING *)
       SELECT c.id, c.attempt, c.owner, st.url AS "storeUrl", s.manifest,
              jsonb_build_object('id', si.id, 'type', si.type) AS target, si.connection,
              (SELECT jsonb_agg(record) FROM artifacts WHERE service_instance_backup_id = s.id AND attempt = s.attempt) AS artifacts
         FROM claimed c
         JOIN service_instance_backups s ON s.id = c.service_instance_backup_id
         JOIN service_instances si ON si.id = c.service_instance_id
         JOIN stores st ON st.id = s.store_id`,
      [request.id, request.attempt, request.owner, request.leaseSeconds, request.now],
    )
    if (!row) return { refused: 'stale' }
    const { connection, ...claimed } = row as ClaimedRestore & { connection: Buffer | null }
    return { claimed: { ...claimed, target: { ...claimed.target, connection } } }
  } catch (error) {
    if (violatedConstraint(error) === 'service_instance_restores_one_run') return { refused: 'waiting' }
    throw error
  }
}

type RestoreFence = Pick<ClaimedRestore, 'id' | 'attempt' | 'owner'>

export async function renewRestore(
  db: Db,
  fence: RestoreFence,
  { leaseSeconds, progress }: { leaseSeconds: number; progress: RunProgress | null },
): Promise<'held' | 'fenced'> {
  const rows = await db.query(
    `UPDATE service_instance_restores SET lease_expires_at = now() + make_interval(secs => $4), progress = $5
      WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'RUNNING' RETURNING id`,
    [fence.id, fence.attempt, fence.owner, leaseSeconds, JSON.stringify(progress)],
  )
  return rows.length > 0 ? 'held' : 'fenced'
}

export interface RestoreEnd {
  success: Outcome
  report: Record<string, unknown> | null
  error: RunError | null
  now: Date
}

/** RUNNING → COMPLETED, and the whole restore with it when it was the last part. */
export async function endRestore(catalog: Catalog, fence: RestoreFence, end: RestoreEnd): Promise<void> {
  await catalog.transaction(async (tx) => {
    await lockRestore(tx, fence.id)
    const [row] = await tx.query(
      `UPDATE service_instance_restores SET state = 'COMPLETED', success = $4, report = $5, errors = errors || $6::jsonb,
              ended_at = $7, progress = NULL, owner = NULL, lease_expires_at = NULL
        WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'RUNNING' RETURNING id`,
      [
        fence.id,
        fence.attempt,
        fence.owner,
        end.success,
        JSON.stringify(end.report),
        JSON.stringify(end.error ? [end.error] : []),
        end.now,
      ],
    )
    if (!row) return
    await closeRestore(tx, fence.id, end.now)
    await ringNextRestore(tx, fence.id)
  })
}

/** RUNNING → QUEUED, for one whose worker was stopped: a restore that did not end well left its target as it was. */
export async function requeueRestore(catalog: Catalog, fence: RestoreFence): Promise<void> {
  await catalog.transaction(async (tx) => {
    await tx.query(
      `UPDATE service_instance_restores SET state = 'QUEUED', progress = NULL, owner = NULL, lease_expires_at = NULL
        WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'RUNNING'`,
      [fence.id, fence.attempt, fence.owner],
    )
    await ringServiceInstanceRestores(tx, [fence.id])
  })
}

async function ringNextRestore(tx: Db, id: string): Promise<void> {
  const waiting = await tx.query<{ id: string }>(
    `SELECT id FROM service_instance_restores WHERE state = 'QUEUED' AND service_instance_id =
       (SELECT service_instance_id FROM service_instance_restores WHERE id = $1) ORDER BY queued_at, id LIMIT 1`,
    [id],
  )
  await ringServiceInstanceRestores(
    tx,
    waiting.map((row) => row.id),
  )
}

const lockRestore = (tx: Db, partId: string) =>
  tx.query(
    'SELECT 1 FROM restores WHERE id = (SELECT restore_id FROM service_instance_restores WHERE id = $1) FOR UPDATE',
    [partId],
  )

async function closeRestore(tx: Db, partId: string, now: Date): Promise<void> {
  await tx.query(
    `UPDATE restores r SET ended_at = $2,
            success = CASE WHEN p.all_good THEN 'SUCCESS' WHEN p.some_good THEN 'PARTIAL' ELSE 'FAILURE' END
       FROM (SELECT restore_id, bool_and(state = 'COMPLETED') AS done, bool_and(success = 'SUCCESS') AS all_good,
                    bool_or(success IN ('SUCCESS', 'PARTIAL')) AS some_good
               FROM service_instance_restores
              WHERE restore_id = (SELECT restore_id FROM service_instance_restores WHERE id = $1) GROUP BY restore_id) p
      WHERE r.id = p.restore_id AND p.done`,
    [partId, now],
  )
}

/**
 * Ends the restores whose worker died: a target that may be half written is nothing to try again on its own.
 * @returns how many
 */
export async function endLapsedRestores(
  catalog: Catalog,
  error: (attempt: number) => RunError,
  now: Date,
): Promise<number> {
  const lapsed = await catalog.query<RestoreFence>(
    `SELECT id, attempt, owner FROM service_instance_restores WHERE state = 'RUNNING' AND lease_expires_at < now()`,
  )
  for (const fence of lapsed)
    await endRestore(catalog, fence, { success: 'FAILURE', report: null, error: error(fence.attempt), now })
  return lapsed.length
}
