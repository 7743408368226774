import type { ArtifactRecord } from '../domain/artifact.ts'
import type { Outcome, ServiceType, State } from '../domain/states.ts'
import type { VerificationLevel } from '../domain/verification.ts'
import { CofferError } from '../errors.ts'
import { countUpTo } from './counting.ts'
import type { Db } from './database.ts'
import { isUuid, type Page, type Scope } from './scope.ts'

/** One failure of one attempt, as it is kept and shown. */
export interface RunError {
  code: string
  message: string
  remedy: string
  attempt: number
  at: string
}

/** How far it is. Bytes so far, plain and stored. `expected_bytes` is a guess from the source or the last backup. */
export interface RunProgress {
  plain_bytes: number
  stored_bytes: number
  expected_bytes: number | null
  files: number | null
  /** What is being done, where that changes on the way: of a restore. */
  step: string | null
  updated_at: string
}

/** A service-instance backup as the API shows it. `size` is the stored size in bytes. */
export interface ServiceInstanceBackupView {
  uuid: string
  backup: string
  service_instance: string
  service_type: ServiceType
  prefix: string
  state: State
  success: Outcome | null
  attempt: number
  label: string | null
  queued_at: Date
  started_at: Date | null
  ended_at: Date | null
  taken_at: Date | null
  size: number | null
  errors: RunError[]
  warnings: string[]
  /** Why its size is not believed; null when it is, or was acknowledged. */
  suspect: string | null
  /** The strongest level that it ever passed, and when it last did. */
  verified: { level: VerificationLevel; at: string } | null
  /** What the store gives back is not what was sealed: in quarantine since then. */
  corrupt: { at: string; reason: string | null } | null
  /** Since when it is known from a manifest that this Coffer has not signed and nobody has accepted; null: it is signed. */
  unverified_at: Date | null
  deleted_at: Date | null
  progress: RunProgress | null
  /** When the next attempt may begin; null unless it waits for one. */
  retry_at: Date | null
  /** The sealed attempt's stored objects. */
  artifacts: ArtifactRecord[]
}

/** Why something that needs whole bytes is refused. */
export const quarantined = (id: string): CofferError =>
  new CofferError('QUARANTINED', `service-instance backup ${id} is corrupt: what is stored is not what was sealed`)

const FROM = `
    FROM service_instance_backups s
    JOIN service_instances si ON si.id = s.service_instance_id
    JOIN backups b ON b.id = s.backup_id
    JOIN environments e ON e.id = b.environment_id
    JOIN applications a ON a.id = e.application_id`

const VIEW = `
  SELECT s.id AS uuid, s.backup_id AS backup, s.service_instance_id AS service_instance, si.type AS service_type, si.prefix,
         s.state, s.success, s.attempt, s.label, s.queued_at, s.started_at, s.ended_at, s.taken_at, s.stored_size AS size,
         s.errors, s.warnings, s.deleted_at, s.progress, s.unverified_at,
         CASE WHEN s.suspect_cleared_at IS NULL THEN s.suspect_reason END AS suspect,
         CASE WHEN s.verified_at IS NULL THEN NULL ELSE jsonb_build_object('level', s.verified_level, 'at', s.verified_at) END AS verified,
         CASE WHEN s.corrupt_at IS NULL THEN NULL ELSE jsonb_build_object('at', s.corrupt_at, 'reason', s.corrupt_reason) END AS corrupt,
         CASE WHEN s.state = 'QUEUED' AND s.attempt > 0 THEN s.not_before END AS retry_at,
         coalesce((SELECT jsonb_agg(record ORDER BY kind) FROM artifacts
                    WHERE service_instance_backup_id = s.id AND attempt = s.attempt
                      AND s.state = 'COMPLETED' AND s.success IN ('SUCCESS', 'PARTIAL')), '[]') AS artifacts ${FROM}`

export async function getServiceInstanceBackup(db: Db, id: string, scope: Scope): Promise<ServiceInstanceBackupView> {
  const [row] = isUuid(id)
    ? await db.query<ServiceInstanceBackupView>(
        `${VIEW} WHERE s.id = $1 AND ($2::uuid IS NULL OR a.organisation_id = $2)`,
        [id, scope.organisationId],
      )
    : []
  if (!row) throw new CofferError('NOT_FOUND', `there is no service-instance backup ${id}`)
  return row
}

export interface ServiceInstanceBackupFilter {
  scope: Scope
  backupId?: string | undefined
  environmentId?: string | undefined
  serviceInstanceId?: string | undefined
  state?: string | undefined
  success?: string | undefined
  label?: string | undefined
  serviceType?: string | undefined
  /** Of its backup. */
  trigger?: string | undefined
  createdAfter?: Date | undefined
  createdBefore?: Date | undefined
  page: Page
}

const FILTERS = `($1::uuid IS NULL OR a.organisation_id = $1) AND ($2::uuid IS NULL OR s.backup_id = $2)
    AND ($3::uuid IS NULL OR b.environment_id = $3) AND ($4::uuid IS NULL OR s.service_instance_id = $4)
    AND ($5::text IS NULL OR s.state = $5) AND ($6::text IS NULL OR s.success = $6) AND ($7::text IS NULL OR s.label = $7)
    AND ($8::text IS NULL OR si.type = $8) AND ($9::text IS NULL OR b.trigger = $9)
    AND ($10::timestamptz IS NULL OR b.created_at > $10) AND ($11::timestamptz IS NULL OR b.created_at < $11)`

/** Newest first. */
export async function listServiceInstanceBackups(
  db: Db,
  filter: ServiceInstanceBackupFilter,
): Promise<{ rows: ServiceInstanceBackupView[]; count: number }> {
  const values = [
    filter.scope.organisationId,
    filter.backupId ?? null,
    filter.environmentId ?? null,
    filter.serviceInstanceId ?? null,
    filter.state ?? null,
    filter.success ?? null,
    filter.label ?? null,
    filter.serviceType ?? null,
    filter.trigger ?? null,
    filter.createdAfter ?? null,
    filter.createdBefore ?? null,
  ]
  const rows = await db.query<ServiceInstanceBackupView>(
    `${VIEW} WHERE ${FILTERS} ORDER BY s.queued_at DESC, s.id LIMIT $12 OFFSET $13`,
    [...values, filter.page.limit, filter.page.offset],
  )
  return { rows, count: await countUpTo(db, `SELECT 1 ${FROM} WHERE ${FILTERS}`, values, filter.page) }
}
