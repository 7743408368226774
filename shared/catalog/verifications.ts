import type { ServiceType } from '../domain/states.ts'
import type { VerificationLevel, VerificationOutcome } from '../domain/verification.ts'
import { CofferError } from '../errors.ts'
import type { Db } from './database.ts'
import { isUuid, type Page, type Scope } from './scope.ts'
import type { RunError, RunProgress } from './service-instance-backups.ts'

/** A verification as the API shows it: of one service-instance backup, or of the metadata of a whole environment. */
export interface VerificationView {
  uuid: string
  environment: string
  /** These five are null for a whole environment. */
  backup: string | null
  service_instance_backup: string | null
  service_instance: string | null
  service_type: ServiceType | null
  prefix: string | null
  level: VerificationLevel
  trigger: 'MANUAL' | 'SCHEDULED'
  requested_by: string | null
  state: 'QUEUED' | 'RUNNING' | 'COMPLETED'
  outcome: VerificationOutcome | null
  attempt: number
  progress: RunProgress | null
  /** What was read and compared, by the level. */
  report: Record<string, unknown> | null
  errors: RunError[]
  queued_at: Date
  started_at: Date | null
  ended_at: Date | null
}

const FROM = `
    FROM verifications v
    JOIN environments e ON e.id = v.environment_id
    JOIN applications a ON a.id = e.application_id
    LEFT JOIN service_instance_backups s ON s.id = v.service_instance_backup_id
    LEFT JOIN service_instances i ON i.id = v.service_instance_id`

const VIEW = `
  SELECT v.id AS uuid, v.environment_id AS environment, s.backup_id AS backup, v.service_instance_backup_id AS service_instance_backup,
         v.service_instance_id AS service_instance, i.type AS service_type, i.prefix, v.level, v.trigger, v.requested_by, v.state,
         v.outcome, v.attempt, v.progress, v.report, v.errors, v.queued_at, v.started_at, v.ended_at ${FROM}`

/** @throws NOT_FOUND */
export async function getVerification(db: Db, id: string, scope: Scope): Promise<VerificationView> {
  const [row] = isUuid(id) ? await verificationsById(db, [id], scope) : []
  if (!row) throw new CofferError('NOT_FOUND', `there is no verification ${id}`)
  return row
}

export const verificationsById = (db: Db, ids: readonly string[], { organisationId }: Scope) =>
  db.query<VerificationView>(
    `${VIEW} WHERE v.id = ANY($1::uuid[]) AND ($2::uuid IS NULL OR a.organisation_id = $2) ORDER BY i.type, i.prefix, v.id`,
    [ids, organisationId],
  )

export interface VerificationFilter {
  scope: Scope
  serviceInstanceBackupId?: string | undefined
  environmentId?: string | undefined
  level?: VerificationLevel | undefined
  page: Page
}

/** Newest first. */
export async function listVerifications(
  db: Db,
  filter: VerificationFilter,
): Promise<{ rows: VerificationView[]; count: number }> {
  const where = `WHERE ($1::uuid IS NULL OR a.organisation_id = $1) AND ($2::uuid IS NULL OR v.service_instance_backup_id = $2)
      AND ($3::uuid IS NULL OR v.environment_id = $3) AND ($4::text IS NULL OR v.level = $4)`
  const values = [
    filter.scope.organisationId,
    filter.serviceInstanceBackupId ?? null,
    filter.environmentId ?? null,
    filter.level ?? null,
  ]
  const rows = await db.query<VerificationView>(`${VIEW} ${where} ORDER BY v.queued_at DESC, v.id LIMIT $5 OFFSET $6`, [
    ...values,
    filter.page.limit,
    filter.page.offset,
  ])
  const [total] = await db.query<{ count: number }>(`SELECT count(*) ${FROM} ${where}`, values)
  return { rows, count: total?.count ?? 0 }
}
