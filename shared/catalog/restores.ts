import type { Selection } from '../domain/selection.ts'
import type { Outcome } from '../domain/states.ts'
import { CofferError } from '../errors.ts'
import type { Db } from './database.ts'
import { isUuid, type Page, type Scope } from './scope.ts'
import type { RunError, RunProgress } from './service-instance-backups.ts'

export type RestoreState = 'QUEUED' | 'RUNNING' | 'COMPLETED'
export type RestoreAction = 'restore' | 'confirm' | 'undo'

/** What the last look at a target found, before anything was written. A look that found something against it is an error instead. */
export interface PreflightView {
  is_empty: boolean
  /** The old state lies beside the target until it is confirmed or undone. */
  keeps_old_state: boolean
  /** How it is restored. */
  method: string
  /** What is not restored, each with why. */
  left_out: string[]
}

export interface ServiceInstanceRestoreView {
  uuid: string
  service_instance_backup: string
  service_instance: string
  /** Of the restore itself; what is done to it afterwards is in `action` and `action_state`. */
  state: RestoreState
  success: Outcome | null
  attempt: number
  selection: Selection
  progress: RunProgress | null
  preflight: PreflightView | null
  /** The backup of the target that was taken first; null: none was needed, or wanted. */
  safety_backup: string | null
  /** What was restored and compared, as the restore of its kind reports it. */
  report: Record<string, unknown> | null
  errors: RunError[]
  /** The old state lies beside the target, until it is confirmed or undone. */
  kept_until_confirmed: boolean
  action: RestoreAction
  action_state: RestoreState
  confirmed_at: Date | null
  undone_at: Date | null
  queued_at: Date
  started_at: Date | null
  ended_at: Date | null
}

export interface RestoreView {
  uuid: string
  backup: string
  notes: string
  created_at: Date
  ended_at: Date | null
  finished: boolean
  success: Outcome | null
  service_instance_restores: ServiceInstanceRestoreView[]
}

/** While its safety backup is taken, the progress is that one's. */
const PROGRESS = `CASE WHEN t.state = 'QUEUED' AND t.action = 'restore' AND sb.backup_id IS NOT NULL AND sb.success IS NULL
  THEN jsonb_build_object('plain_bytes', 0, 'stored_bytes', 0, 'expected_bytes', NULL, 'files', NULL, 'updated_at', sb.queued_at)
       || CASE jsonb_typeof(sb.progress) WHEN 'object' THEN sb.progress ELSE '{}' END || '{"step": "safety backup"}'
  ELSE t.progress END`

const PART = `jsonb_build_object('uuid', t.id, 'service_instance_backup', t.service_instance_backup_id,
  'service_instance', t.service_instance_id, 'state', CASE t.action WHEN 'restore' THEN t.state ELSE 'COMPLETED' END,
  'success', t.success, 'attempt', t.attempt, 'selection', t.selection, 'progress', ${PROGRESS}, 'preflight', t.preflight,
  'safety_backup', t.safety_backup_id, 'report', t.report, 'errors', t.errors, 'kept_until_confirmed', t.kept,
  'action', t.action, 'action_state', t.state, 'confirmed_at', t.confirmed_at, 'undone_at', t.undone_at,
  'queued_at', t.queued_at, 'started_at', t.started_at, 'ended_at', t.ended_at)`

const FROM = `
    FROM restores r
    JOIN backups b ON b.id = r.backup_id
    JOIN environments e ON e.id = b.environment_id
    JOIN applications a ON a.id = e.application_id`

/** The condition that a restore is of the organisation $1, or of any: its backup and every target. */
const IN_SCOPE = `($1::uuid IS NULL OR (a.organisation_id = $1 AND NOT EXISTS (
    SELECT 1 FROM service_instance_restores t
      JOIN service_instances si ON si.id = t.service_instance_id
      JOIN environments te ON te.id = si.environment_id
      JOIN applications ta ON ta.id = te.application_id
     WHERE t.restore_id = r.id AND ta.organisation_id <> $1)))`

const VIEW = `
  SELECT r.id AS uuid, r.backup_id AS backup, r.notes, r.created_at, r.ended_at, r.ended_at IS NOT NULL AS finished, r.success,
         (SELECT coalesce(jsonb_agg(${PART} ORDER BY t.queued_at, t.id), '[]')
            FROM service_instance_restores t
            LEFT JOIN service_instance_backups sb ON sb.backup_id = t.safety_backup_id
           WHERE t.restore_id = r.id) AS service_instance_restores ${FROM}`

export async function getRestore(db: Db, id: string, scope: Scope): Promise<RestoreView> {
  const [row] = isUuid(id)
    ? await db.query<RestoreView>(`${VIEW} WHERE ${IN_SCOPE} AND r.id = $2`, [scope.organisationId, id])
    : []
  if (!row) throw new CofferError('NOT_FOUND', `there is no restore ${id}`)
  return row
}

/** Newest first. `environmentId`: those out of its backups, or into it. */
export async function listRestores(
  db: Db,
  filter: { scope: Scope; backupId?: string | undefined; environmentId?: string | undefined; page: Page },
): Promise<{ rows: RestoreView[]; count: number }> {
  const where = `WHERE ${IN_SCOPE} AND ($2::uuid IS NULL OR r.backup_id = $2)
      AND ($3::uuid IS NULL OR b.environment_id = $3 OR EXISTS (
            SELECT 1 FROM service_instance_restores t JOIN service_instances si ON si.id = t.service_instance_id
             WHERE t.restore_id = r.id AND si.environment_id = $3))`
  const { scope, page } = filter
  const values = [scope.organisationId, filter.backupId ?? null, filter.environmentId ?? null]
  const rows = await db.query<RestoreView>(`${VIEW} ${where} ORDER BY r.created_at DESC, r.id LIMIT $4 OFFSET $5`, [
    ...values,
    page.limit,
    page.offset,
  ])
  const [total] = await db.query<{ count: number }>(`SELECT count(*) ${FROM} ${where}`, values)
  return { rows, count: total?.count ?? 0 }
}
