import { CofferError } from '../errors.ts'
import { newestGoodOf } from '../retention/plan-instance.ts'
import { getBackup, type BackupView } from './backups.ts'
import type { Catalog, Db } from './database.ts'
import { ringPruneOfBackup } from './prune-bells.ts'
import { loadRetention } from './retention.ts'
import type { Scope } from './scope.ts'

/**
 * Asks for a backup to be deleted, which can be undone for 24 hours. May run twice: the first request counts, a later one can add force.
 * @throws NOT_FOUND, REQUEST_INVALID (force without a reason), CONFLICT (it runs, or is gone), HELD,
 *   GUARD_REFUSED (it is the newest good one of a service instance, and nobody forces it)
 */
export async function deleteBackup(
  catalog: Catalog,
  id: string,
  { reason, force }: { reason: string; force: boolean },
  scope: Scope,
  now: Date,
): Promise<BackupView> {
  if (force && reason.trim() === '')
    throw new CofferError('REQUEST_INVALID', 'deleting by force needs a reason', { details: { field: 'reason' } })
  return catalog.transaction(async (tx) => {
    const backup = await lock(tx, id, scope)
    if (backup.state !== 'COMPLETED')
      throw new CofferError('CONFLICT', `backup ${id} can't be deleted: it is ${backup.state}`)
    if (backup.hold)
      throw new CofferError('HELD', `backup ${id} is held since ${backup.hold.at}: ${backup.hold.reason}`)
    if (!force) await refuseNewestGood(tx, backup)
    await tx.query(
      `UPDATE backups SET delete_requested_at = coalesce(delete_requested_at, $2),
              delete_after = coalesce(delete_after, $2::timestamptz + interval '24 hours'), delete_reason = $3,
              delete_forced = delete_forced OR $4 WHERE id = $1`,
      [id, now, reason, force],
    )
    return getBackup(tx, id, scope)
  })
}

/** Takes the request back. @throws NOT_FOUND, CONFLICT (nobody asked for it, or its objects are being deleted) */
export function undeleteBackup(catalog: Catalog, id: string, scope: Scope): Promise<BackupView> {
  return catalog.transaction(async (tx) => {
    const backup = await lock(tx, id, scope)
    if (backup.delete_after === null || backup.state !== 'COMPLETED')
      throw new CofferError(
        'CONFLICT',
        `backup ${id} has no deletion that could be undone: it is ${backup.state.toLowerCase()}`,
      )
    await tx.query(
      `UPDATE backups SET delete_requested_at = NULL, delete_after = NULL, delete_reason = NULL, delete_forced = false WHERE id = $1`,
      [id],
    )
    await ringPruneOfBackup(tx, id)
    return getBackup(tx, id, scope)
  })
}

async function refuseNewestGood(tx: Db, { uuid, environment }: BackupView): Promise<void> {
  const instances = await loadRetention(tx, environment)
  const last = instances.filter(({ backups }) => newestGoodOf(backups)?.backupId === uuid)
  if (last.length === 0) return
  const names = last.map(({ prefix, serviceType }) => `${prefix} (${serviceType})`).join(', ')
  throw new CofferError('GUARD_REFUSED', `backup ${uuid} is the newest good one of ${names}`, {
    details: { service_instances: last.map(({ serviceInstance }) => serviceInstance) },
  })
}

async function lock(tx: Db, id: string, scope: Scope): Promise<BackupView> {
  await getBackup(tx, id, scope)
  await tx.query('SELECT 1 FROM backups WHERE id = $1 FOR UPDATE', [id])
  return getBackup(tx, id, scope)
}
