import { randomUUID } from 'node:crypto'
import type { Selection } from '../domain/selection.ts'
import type { Outcome, ServiceType } from '../domain/states.ts'
import { CofferError } from '../errors.ts'
import { cancelNeedless } from './backup-requests.ts'
import { getBackup } from './backups.ts'
import type { Catalog, Db } from './database.ts'
import { ringServiceInstanceRestores } from './outbox.ts'
import { ringAfterRestore } from './restore-bells.ts'
import { closeRestore } from './restore-ends.ts'
import { getRestore, type RestoreView } from './restores.ts'
import { OWN } from './own-backup.ts'
import { isUuid, type Scope } from './scope.ts'
import { quarantined } from './service-instance-backups.ts'

const EVERYTHING: Selection = { schemas: [], tables: [], paths: [] }

export interface NewRestorePart {
  serviceInstanceBackupId: string
  /** Absent: where the backup came from. */
  serviceInstanceId?: string | undefined
  /** Absent: everything. */
  selection?: Selection | undefined
}

export interface NewRestore {
  backupId: string
  targets: readonly NewRestorePart[]
  notes: string
  /** The name of the target, `application/environment`, from somebody who means it. */
  confirm?: string | undefined
  /** false: what the target holds is not backed up before it is replaced. */
  safetyBackup?: boolean | undefined
  scope: Scope
  now: Date
}

/**
 * One transaction: the restore, its parts, and their doorbells.
 * @throws NOT_FOUND (backup, part or target), CONFLICT (part not readable, or target of another type), REQUEST_INVALID (a selection that does
 *   not fit the type, a target that is named twice, a `confirm` that is not the target's name)
 */
export function createRestore(catalog: Catalog, input: NewRestore): Promise<RestoreView> {
  return catalog.transaction(async (tx) => {
    await getBackup(tx, input.backupId, input.scope)
    const id = randomUUID()
    await tx.query(
      'INSERT INTO restores (id, backup_id, notes, created_at, confirm, safety_backup) VALUES ($1, $2, $3, $4, $5, $6)',
      [id, input.backupId, input.notes, input.now, input.confirm ?? null, input.safetyBackup ?? true],
    )
    const parts: string[] = []
    const targets: Target[] = []
    for (const [index, wanted] of input.targets.entries()) {
      const part = await readablePart(tx, input, wanted.serviceInstanceBackupId)
      const target = await requireTarget(
        tx,
        input.scope,
        wanted.serviceInstanceId ?? part.service_instance_id,
        part.type,
      )
      const selection = wanted.selection ?? EVERYTHING
      requireFittingSelection(selection, part.type, index)
      targets.push(target)
      parts.push(randomUUID())
      await tx.query(
        `INSERT INTO service_instance_restores (id, restore_id, service_instance_backup_id, service_instance_id, selection, queued_at)
         VALUES ($1, $2, $3, $4, $5, $6)`,
        [parts.at(-1), id, wanted.serviceInstanceBackupId, target.id, JSON.stringify(selection), input.now],
      )
    }
    requireSoundTargets(targets, input.confirm)
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
           FROM service_instance_backups s JOIN service_instances si ON si.id = s.service_instance_id WHERE s.id = $1 AND s.backup_id = $2 FOR SHARE OF s`,
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

interface Target {
  id: string
  type: ServiceType
  /** `application/environment` */
  name: string
}

async function requireTarget(tx: Db, scope: Scope, id: string, type: ServiceType): Promise<Target> {
  if (id.toLowerCase() === OWN.serviceInstance)
    throw new CofferError(
      'CONFLICT',
      'Coffer restores nothing over its own living catalog; docs/lost-catalog.md tells how to',
    )
  const [target] = isUuid(id)
    ? await tx.query<Target>(
        `SELECT si.id, si.type, a.slug || '/' || e.slug AS name FROM service_instances si
           JOIN environments e ON e.id = si.environment_id JOIN applications a ON a.id = e.application_id
          WHERE si.id = $1 AND si.deleted_at IS NULL AND ($2::uuid IS NULL OR a.organisation_id = $2)`,
        [id, scope.organisationId],
      )
    : []
  if (!target) throw new CofferError('NOT_FOUND', `there is no service instance ${id} to restore into`)
  if (target.type !== type)
    throw new CofferError('CONFLICT', `service instance ${id} is of type ${target.type}; the backup's is ${type}`)
  return target
}

const invalid = (field: string, message: string) =>
  new CofferError('REQUEST_INVALID', `the request is not valid: ${field}: ${message}`, {
    details: { errors: [{ field, message }] },
  })

function requireFittingSelection({ schemas, tables, paths }: Selection, type: ServiceType, index: number): void {
  const wrong = Object.entries(type === 'DATABASE' ? { paths } : { schemas, tables }).find(
    ([, names]) => names.length > 0,
  )
  if (wrong)
    throw invalid(
      `service_instance_restores.${index}.selection.${wrong[0]}`,
      `does not fit a ${type}: ${type === 'DATABASE' ? 'choose schemas or tables' : 'choose paths'}`,
    )
}

function requireSoundTargets(targets: readonly Target[], confirm: string | undefined): void {
  if (new Set(targets.map(({ id }) => id)).size < targets.length)
    throw invalid('service_instance_restores', 'must not restore into one service instance twice')
  const names = [...new Set(targets.map(({ name }) => name))]
  if (confirm === undefined || (names.length === 1 && names[0] === confirm)) return
  throw invalid(
    'confirm',
    names.length > 1
      ? `can't be given for ${names.join(' and ')} at once: restore into one environment at a time`
      : `must be the name of the target, ${names.join()}`,
  )
}

/**
 * What waits is cancelled at once, with the safety backup it waits for; what runs is told to stop and ends CANCELLED, unless it has come so
 * far that it can only be finished. What an interrupted attempt may have left is cleaned up by a worker first.
 * @throws NOT_FOUND, CONFLICT (it has ended)
 */
export function cancelRestore(catalog: Catalog, id: string, scope: Scope, now: Date): Promise<RestoreView> {
  return catalog.transaction(async (tx) => {
    const restore = await lockRestore(tx, id, scope)
    if (restore.finished)
      throw new CofferError('CONFLICT', `restore ${id} can't be cancelled any more: it is ${restore.success ?? 'over'}`)
    const cancelled = await tx.query<{ id: string; target: string; safety_backup_id: string | null }>(
      `UPDATE service_instance_restores SET state = 'COMPLETED', success = 'CANCELLED', ended_at = $2
        WHERE restore_id = $1 AND state = 'QUEUED' AND action = 'restore' AND NOT may_have_leftovers
       RETURNING id, service_instance_id AS target, safety_backup_id`,
      [id, now],
    )
    await tx.query(
      `UPDATE service_instance_restores SET cancel_requested_at = coalesce(cancel_requested_at, $2)
        WHERE restore_id = $1 AND state <> 'COMPLETED' AND action = 'restore'`,
      [id, now],
    )
    for (const part of cancelled) {
      if (part.safety_backup_id !== null) await cancelNeedless(tx, part.safety_backup_id, now)
      await ringAfterRestore(tx, part.target)
    }
    await closeRestore(tx, id, now)
    return getRestore(tx, id, scope)
  })
}

/**
 * Has a worker remove what was kept of the old state (`confirm`), or bring it back (`undo`).
 * @throws NOT_FOUND, CONFLICT (nothing is kept of it, or something is being done about it)
 */
export function settleRestore(
  catalog: Catalog,
  id: string,
  action: 'confirm' | 'undo',
  scope: Scope,
): Promise<RestoreView> {
  return catalog.transaction(async (tx) => {
    await lockRestore(tx, id, scope)
    const chosen = await tx.query<{ id: string }>(
      `UPDATE service_instance_restores SET action = $2, state = 'QUEUED', tries_left = 3, progress = NULL
        WHERE restore_id = $1 AND state = 'COMPLETED' AND kept RETURNING id`,
      [id, action],
    )
    if (chosen.length === 0)
      throw new CofferError(
        'CONFLICT',
        `restore ${id} has nothing to ${action}: no old state is kept of it, or not any more`,
      )
    await ringServiceInstanceRestores(
      tx,
      chosen.map((part) => part.id),
    )
    return getRestore(tx, id, scope)
  })
}

async function lockRestore(tx: Db, id: string, scope: Scope): Promise<RestoreView> {
  await getRestore(tx, id, scope)
  await tx.query('SELECT 1 FROM restores WHERE id = $1 FOR UPDATE', [id])
  return getRestore(tx, id, scope)
}
