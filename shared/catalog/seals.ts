import type { ArtifactRecord } from '../domain/artifact.ts'
import type { Outcome } from '../domain/states.ts'
import type { Catalog, Db } from './database.ts'
import { closeParent, ringNext } from './run-ends.ts'
import { lockParent, type Fence } from './runs.ts'
import { judgeSize } from './suspects.ts'

/** What the manifest will say, recorded before it is written. Sizes in bytes. */
export interface SealIntent {
  manifest: string
  artifacts: readonly ArtifactRecord[]
  files: number | null
  warnings: readonly string[]
  takenAt: Date
}

const HOLDS_LEASE = `EXISTS (SELECT 1 FROM leases l WHERE l.kind = 'run' AND l.service_instance_backup_id = s.id
                                AND l.attempt = $2 AND l.owner = $3)`

/**
 * RUNNING → SEALING: from here on the run can't be cancelled, and whoever settles it knows which manifest is right.
 * May run twice. `cancelled`: a cancel was faster. `fenced`: another has taken over.
 */
export async function beginSeal(
  catalog: Catalog,
  fence: Fence,
  intent: SealIntent,
): Promise<'sealing' | 'cancelled' | 'fenced'> {
  return catalog.transaction(async (tx) => {
    await lockParent(tx, fence.id)
    const [row] = await tx.query<{ cancelled: boolean }>(
      `SELECT s.cancel_requested_at IS NOT NULL AND s.state = 'RUNNING' AS cancelled FROM service_instance_backups s
        WHERE s.id = $1 AND s.attempt = $2 AND s.state IN ('RUNNING', 'SEALING') AND ${HOLDS_LEASE} FOR UPDATE`,
      [fence.id, fence.attempt, fence.owner],
    )
    if (!row) return 'fenced'
    if (row.cancelled) return 'cancelled'
    const sum = (size: 'plain_size' | 'stored_size') =>
      intent.artifacts.reduce((total, record) => total + record[size], 0)
    await tx.query(
      `UPDATE service_instance_backups
          SET state = 'SEALING', manifest = $2, plain_size = $3, stored_size = $4, files = $5, warnings = $6, taken_at = $7,
              recipients = ARRAY(SELECT jsonb_array_elements_text($2::text::jsonb->'recipients'))
        WHERE id = $1`,
      [
        fence.id,
        intent.manifest,
        sum('plain_size'),
        sum('stored_size'),
        intent.files,
        JSON.stringify(intent.warnings),
        intent.takenAt,
      ],
    )
    await recordArtifacts(tx, fence, intent.artifacts)
    return 'sealing'
  })
}

async function recordArtifacts(tx: Db, fence: Fence, artifacts: readonly ArtifactRecord[]): Promise<void> {
  await tx.query('DELETE FROM artifacts WHERE service_instance_backup_id = $1', [fence.id])
  for (const record of artifacts)
    await tx.query(
      'INSERT INTO artifacts (service_instance_backup_id, attempt, kind, key, record) VALUES ($1, $2, $3, $4, $5)',
      [fence.id, fence.attempt, record.kind, record.key, JSON.stringify(record)],
    )
}

/**
 * SEALING → COMPLETED, and the parent with it when it was the last. Call only after the manifest was written. May run twice.
 * `fenced`: another has taken this attempt over, and has not sealed it yet or never will.
 */
export async function finishSeal(
  catalog: Catalog,
  fence: Fence,
  { success, now }: { success: Extract<Outcome, 'SUCCESS' | 'PARTIAL'>; now: Date },
): Promise<'sealed' | 'fenced'> {
  return catalog.transaction(async (tx) => {
    await lockParent(tx, fence.id)
    const [done] = await tx.query<{ id: string }>(
      `UPDATE service_instance_backups s
          SET state = 'COMPLETED', success = $4, ended_at = $5, progress = NULL, cancel_requested_at = NULL
        WHERE s.id = $1 AND s.attempt = $2 AND s.state = 'SEALING' AND ${HOLDS_LEASE} RETURNING s.id`,
      [fence.id, fence.attempt, fence.owner, success, now],
    )
    if (!done) return (await isSealed(tx, fence)) ? 'sealed' : 'fenced'
    await tx.query(`DELETE FROM leases WHERE kind = 'run' AND service_instance_backup_id = $1`, [fence.id])
    await judgeSize(tx, fence.id, now)
    await closeParent(tx, fence.id, now)
    await ringNext(tx, fence.id)
    return 'sealed'
  })
}

/**
 * SEALING → RUNNING, for one that can't be sealed: from here on nobody seals this attempt, so its objects may be deleted. The manifest's
 * text stays on record, since the object may lie in the store. May run twice. `fenced`: another decides about it.
 */
export async function abandonSeal(db: Db, fence: Fence): Promise<'abandoned' | 'fenced'> {
  const rows = await db.query(
    `UPDATE service_instance_backups s SET state = 'RUNNING'
      WHERE s.id = $1 AND s.attempt = $2 AND s.state IN ('RUNNING', 'SEALING') AND ${HOLDS_LEASE} RETURNING s.id`,
    [fence.id, fence.attempt, fence.owner],
  )
  return rows.length > 0 ? 'abandoned' : 'fenced'
}

/** Whether exactly this attempt is the sealed one. */
async function isSealed(db: Db, fence: Pick<Fence, 'id' | 'attempt'>): Promise<boolean> {
  const rows = await db.query(
    `SELECT 1 FROM service_instance_backups
      WHERE id = $1 AND attempt = $2 AND state = 'COMPLETED' AND success IN ('SUCCESS', 'PARTIAL')`,
    [fence.id, fence.attempt],
  )
  return rows.length > 0
}

/** Whether this attempt has ended and was not sealed, so that its objects are nobody's. While a settler decides, it is not over. */
export async function isOver(db: Db, { id, attempt }: Pick<Fence, 'id' | 'attempt'>): Promise<boolean> {
  const rows = await db.query(
    `SELECT 1 FROM service_instance_backups
      WHERE id = $1 AND (attempt > $2 OR state = 'QUEUED' OR success IN ('FAILURE', 'CANCELLED'))`,
    [id, attempt],
  )
  return rows.length > 0
}
