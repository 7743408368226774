import { randomUUID } from 'node:crypto'
import type { Outcome, ServiceType } from '../domain/states.ts'
import { CofferError } from '../errors.ts'
import { getBackup } from './backups.ts'
import type { Catalog, Db } from './database.ts'
import { ringServiceInstanceRestores } from './outbox.ts'
import { isUuid, type Page, type Scope } from './scope.ts'
import { quarantined, type RunError, type RunProgress } from './service-instance-backups.ts'

export interface ServiceInstanceRestoreView {
  uuid: string
  service_instance_backup: string
  service_instance: string
  state: 'QUEUED' | 'RUNNING' | 'COMPLETED'
  success: Outcome | null
  progress: RunProgress | null
  /** What was restored and compared, as the restore of its kind reports it. */
  report: Record<string, unknown> | null
  errors: RunError[]
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

const VIEW = `
  SELECT r.id AS uuid, r.backup_id AS backup, r.notes, r.created_at, r.ended_at, r.ended_at IS NOT NULL AS finished, r.success,
         (SELECT coalesce(jsonb_agg(jsonb_build_object('uuid', t.id, 'service_instance_backup', t.service_instance_backup_id,
                   'service_instance', t.service_instance_id, 'state', t.state, 'success', t.success, 'progress', t.progress,
                   'report', t.report, 'errors', t.errors) ORDER BY t.queued_at, t.id), '[]')
            FROM service_instance_restores t WHERE t.restore_id = r.id) AS service_instance_restores
    FROM restores r
    JOIN backups b ON b.id = r.backup_id
    JOIN environments e ON e.id = b.environment_id
    JOIN applications a ON a.id = e.application_id`

export async function getRestore(db: Db, id: string, scope: Scope): Promise<RestoreView> {
  const [row] = isUuid(id)
    ? await db.query<RestoreView>(`${VIEW} WHERE r.id = $1 AND ($2::uuid IS NULL OR a.organisation_id = $2)`, [
        id,
        scope.organisationId,
      ])
    : []
  if (!row) throw new CofferError('NOT_FOUND', `there is no restore ${id}`)
  return row
}

/** Newest first. */
export async function listRestores(
  db: Db,
  { scope, backupId, page }: { scope: Scope; backupId?: string | undefined; page: Page },
): Promise<{ rows: RestoreView[]; count: number }> {
  const where = 'WHERE ($1::uuid IS NULL OR a.organisation_id = $1) AND ($2::uuid IS NULL OR r.backup_id = $2)'
  const values = [scope.organisationId, backupId ?? null]
  const rows = await db.query<RestoreView>(`${VIEW} ${where} ORDER BY r.created_at DESC, r.id LIMIT $3 OFFSET $4`, [
    ...values,
    page.limit,
    page.offset,
  ])
  const [total] = await db.query<{ count: number }>(
    `SELECT count(*) FROM restores r JOIN backups b ON b.id = r.backup_id JOIN environments e ON e.id = b.environment_id
       JOIN applications a ON a.id = e.application_id ${where}`,
    values,
  )
  return { rows, count: total?.count ?? 0 }
}

export interface NewRestore {
  backupId: string
  /** Without `serviceInstanceId`, the restore goes to where the backup came from. */
  targets: readonly { serviceInstanceBackupId: string; serviceInstanceId?: string | undefined }[]
  notes: string
  scope: Scope
  now: Date
}

/** @throws NOT_FOUND (backup, part or target), CONFLICT (part not readable, or target of another type) */
export function createRestore(catalog: Catalog, input: NewRestore): Promise<RestoreView> {
  return catalog.transaction(async (tx) => {
    await getBackup(tx, input.backupId, input.scope)
    const id = randomUUID()
    await tx.query('INSERT INTO restores (id, backup_id, notes, created_at) VALUES ($1, $2, $3, $4)', [
      id,
      input.backupId,
      input.notes,
      input.now,
    ])
    const parts: string[] = []
    for (const { serviceInstanceBackupId, serviceInstanceId } of input.targets) {
      const part = await readablePart(tx, input, serviceInstanceBackupId)
      const target = serviceInstanceId ?? part.service_instance_id
      await requireTarget(tx, input.scope, target, part.type)
      parts.push(randomUUID())
      await tx.query(
        `INSERT INTO service_instance_restores (id, restore_id, service_instance_backup_id, service_instance_id, queued_at)
         VALUES ($1, $2, $3, $4, $5)`,
        [parts.at(-1), id, serviceInstanceBackupId, target, input.now],
      )
    }
    await ringServiceInstanceRestores(tx, parts)
    return getRestore(tx, id, input.scope)
  })
}

interface ReadablePart {
  service_instance_id: string
  type: ServiceType
  state: string
  success: Outcome | null
  corrupt: boolean
}

/** Locked, so that it does not begin to be deleted between this look and the restore that names it. */
async function readablePart(tx: Db, { backupId }: NewRestore, id: string): Promise<ReadablePart> {
  const [part] = isUuid(id)
    ? await tx.query<ReadablePart>(
        `SELECT s.service_instance_id, si.type, s.state, s.success, s.corrupt_at IS NOT NULL AS corrupt
           FROM service_instance_backups s
           JOIN service_instances si ON si.id = s.service_instance_id WHERE s.id = $1 AND s.backup_id = $2 FOR SHARE OF s`,
        [id, backupId],
      )
    : []
  if (!part) throw new CofferError('NOT_FOUND', `backup ${backupId} has no service-instance backup ${id}`)
  if (part.state !== 'COMPLETED' || (part.success !== 'SUCCESS' && part.success !== 'PARTIAL'))
    throw new CofferError(
      'CONFLICT',
      `service-instance backup ${id} can't be restored: it is ${part.success ?? part.state}`,
    )
  if (part.corrupt) throw quarantined(id)
  return part
}

async function requireTarget(tx: Db, scope: Scope, id: string, type: ServiceType): Promise<void> {
  const [target] = isUuid(id)
    ? await tx.query<{ type: ServiceType }>(
        `SELECT si.type FROM service_instances si JOIN environments e ON e.id = si.environment_id
           JOIN applications a ON a.id = e.application_id
          WHERE si.id = $1 AND si.deleted_at IS NULL AND ($2::uuid IS NULL OR a.organisation_id = $2)`,
        [id, scope.organisationId],
      )
    : []
  if (!target) throw new CofferError('NOT_FOUND', `there is no service instance ${id} to restore into`)
  if (target.type !== type)
    throw new CofferError('CONFLICT', `service instance ${id} is of type ${target.type}; the backup's is ${type}`)
}
