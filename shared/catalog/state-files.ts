import type { BackupState } from '../domain/manifest.ts'
import type { Db } from './database.ts'

type Changing = Pick<BackupState, 'label' | 'hold' | 'scheduled_for_deletion_at'>

/** A sealed service-instance backup whose state.json says something else than the catalog. */
export interface StaleState {
  id: string
  storeUrl: string
  keyPrefix: string
  state: Changing
}

const ISO = (column: string) => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`
const STATE = `jsonb_build_object(
  'label', s.label,
  'hold', CASE WHEN b.held_at IS NOT NULL THEN jsonb_build_object('reason', b.hold_reason, 'since', ${ISO('b.held_at')}) END,
  'scheduled_for_deletion_at', ${ISO('b.scheduled_for_deletion_at')})`

export const listStaleStates = (db: Db, environmentId: string): Promise<StaleState[]> =>
  db.query<StaleState>(
    `SELECT s.id, st.url AS "storeUrl", s.key_prefix AS "keyPrefix", ${STATE} AS state
       FROM service_instance_backups s JOIN backups b ON b.id = s.backup_id JOIN stores st ON st.id = s.store_id
      WHERE b.environment_id = $1 AND s.state = 'COMPLETED' AND s.success IN ('SUCCESS', 'PARTIAL') AND s.lost_at IS NULL
        AND s.state_written IS DISTINCT FROM ${STATE}
      ORDER BY s.queued_at, s.id`,
    [environmentId],
  )

/** Call after it was written, with what was written: what has changed since then differs, and is written next time. */
export async function recordState(db: Db, { id, state }: Pick<StaleState, 'id' | 'state'>): Promise<void> {
  await db.query('UPDATE service_instance_backups SET state_written = $2 WHERE id = $1', [id, JSON.stringify(state)])
}
