import { policyClassOf, type Trigger } from '../domain/states.ts'
import { CofferError } from '../errors.ts'
import { getBackup, type BackupView } from './backups.ts'
import type { Catalog, Db } from './database.ts'
import { ringPruneOfBackup } from './prune-bells.ts'
import type { Scope } from './scope.ts'

/**
 * Keeps a backup, whatever its policy or date says, until the hold is released. A second hold replaces the reason of the first.
 * @throws NOT_FOUND, CONFLICT (nothing of it is left, or is going to be)
 */
export const holdBackup = (
  catalog: Catalog,
  id: string,
  { reason, by }: { reason: string; by: string },
  scope: Scope,
  now: Date,
): Promise<BackupView> =>
  change(catalog, id, scope, (tx) =>
    tx.query('UPDATE backups SET hold_reason = $2, held_by = $3, held_at = coalesce(held_at, $4) WHERE id = $1', [
      id,
      reason,
      by,
      now,
    ]),
  )

/** Does nothing to one that isn't held. @throws NOT_FOUND, CONFLICT (nothing of it is left) */
export const releaseBackup = (catalog: Catalog, id: string, scope: Scope): Promise<BackupView> =>
  change(catalog, id, scope, (tx) =>
    tx.query('UPDATE backups SET hold_reason = NULL, held_by = NULL, held_at = NULL WHERE id = $1', [id]),
  )

/**
 * Gives a backup a date of its own, which beats the policy; null leaves it to the policy again. One that was temporary then belongs to
 * the class that its trigger says.
 * @throws NOT_FOUND, CONFLICT (nothing of it is left), REQUEST_INVALID (the date has passed: that is what deleting is for)
 */
export async function setDeletionDate(
  catalog: Catalog,
  id: string,
  date: Date | null,
  scope: Scope,
  now: Date,
): Promise<BackupView> {
  if (date && date <= now)
    throw new CofferError('REQUEST_INVALID', `the deletion date ${date.toISOString()} is not in the future`, {
      details: { field: 'scheduled_for_deletion_at' },
    })
  return change(catalog, id, scope, async (tx, { trigger }) => {
    await tx.query('UPDATE backups SET scheduled_for_deletion_at = $2 WHERE id = $1', [id, date])
    if (date) return
    await tx.query(`UPDATE backups SET policy_class = $2 WHERE id = $1 AND policy_class = 'temporary'`, [
      id,
      policyClassOf(trigger, false),
    ])
  })
}

/** Under the parent's lock, so that no deletion begins meanwhile; the bell lets state.json follow. */
function change(
  catalog: Catalog,
  id: string,
  scope: Scope,
  work: (tx: Db, backup: { trigger: Trigger }) => Promise<unknown>,
): Promise<BackupView> {
  return catalog.transaction(async (tx) => {
    await getBackup(tx, id, scope)
    await tx.query('SELECT 1 FROM backups WHERE id = $1 FOR UPDATE', [id])
    const backup = await getBackup(tx, id, scope)
    if (backup.state === 'DELETING' || backup.state === 'DELETED')
      throw new CofferError('CONFLICT', `backup ${id} can't be kept any more: it is ${backup.state}`)
    await work(tx, backup)
    await ringPruneOfBackup(tx, id)
    return getBackup(tx, id, scope)
  })
}
