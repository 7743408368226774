import { CofferError } from '../errors.ts'
import { getBackup, type BackupView } from './backups.ts'
import type { Catalog, Db } from './database.ts'
import { ringServiceInstanceBackups } from './outbox.ts'
import { cancelQueued } from './run-ends.ts'
import type { Scope } from './scope.ts'

/**
 * What waits is cancelled at once; what runs is told to stop and ends CANCELLED within seconds; what is sealing or ended stays.
 * @throws NOT_FOUND, CONFLICT (nothing of it can be cancelled any more)
 */
export function cancelBackup(catalog: Catalog, id: string, scope: Scope, now: Date): Promise<BackupView> {
  return catalog.transaction(async (tx) => {
    const backup = await lockBackup(tx, id, scope)
    if (!(await cancelParts(tx, id, now)))
      throw new CofferError('CONFLICT', `backup ${id} can't be cancelled any more: it is ${describe(backup)}`)
    return getBackup(tx, id, scope)
  })
}

/** Cancels whatever of a backup can be cancelled; the caller holds its lock. @returns whether there was anything */
async function cancelParts(tx: Db, id: string, now: Date): Promise<boolean> {
  const queued = await idsIn(tx, id, `state = 'QUEUED'`)
  for (const sibling of queued) await cancelQueued(tx, sibling, now)
  const running = await tx.query(
    `UPDATE service_instance_backups SET cancel_requested_at = $2 WHERE backup_id = $1 AND state = 'RUNNING' RETURNING id`,
    [id, now],
  )
  return queued.length + running.length > 0
}

/** Cancels a backup that nobody needs any more, as far as it can be, inside a transaction of the caller. */
export async function cancelNeedless(tx: Db, id: string, now: Date): Promise<void> {
  await tx.query('SELECT 1 FROM backups WHERE id = $1 FOR UPDATE', [id])
  await cancelParts(tx, id, now)
}

/**
 * What failed or was cancelled is queued again with all its tries; what waits for its next attempt begins now; what succeeded stays.
 * @throws NOT_FOUND, CONFLICT (nothing of it failed)
 */
export function retryBackup(
  catalog: Catalog,
  id: string,
  scope: Scope,
  { maxTries, now }: { maxTries: number; now: Date },
): Promise<BackupView> {
  return catalog.transaction(async (tx) => {
    const backup = await lockBackup(tx, id, scope)
    const chosen = await idsIn(
      tx,
      id,
      `((state = 'COMPLETED' AND success IN ('FAILURE', 'CANCELLED')) OR (state = 'QUEUED' AND attempt > 0))`,
    )
    if (chosen.length === 0)
      throw new CofferError('CONFLICT', `backup ${id} has nothing to retry: it is ${describe(backup)}`)
    await tx.query(
      `UPDATE service_instance_backups SET state = 'QUEUED', success = NULL, ended_at = NULL, tries_left = $2, not_before = now(),
              cancel_requested_at = NULL, queued_at = $3 WHERE id = ANY($1::uuid[])`,
      [chosen, maxTries, now],
    )
    await tx.query(`UPDATE backups SET state = 'RUNNING', success = NULL, ended_at = NULL WHERE id = $1`, [id])
    await ringServiceInstanceBackups(tx, chosen)
    return getBackup(tx, id, scope)
  })
}

/** @throws NOT_FOUND */
export async function setNotes(db: Db, id: string, notes: string, scope: Scope): Promise<void> {
  await getBackup(db, id, scope)
  await db.query('UPDATE backups SET notes = $2 WHERE id = $1', [id, notes])
}

const describe = (backup: BackupView) => [backup.state, backup.success].filter(Boolean).join(', ')

async function lockBackup(tx: Db, id: string, scope: Scope): Promise<BackupView> {
  const backup = await getBackup(tx, id, scope)
  await tx.query('SELECT 1 FROM backups WHERE id = $1 FOR UPDATE', [id])
  return backup
}

async function idsIn(tx: Db, backupId: string, condition: string): Promise<string[]> {
  const rows = await tx.query<{ id: string }>(
    `SELECT id FROM service_instance_backups WHERE backup_id = $1 AND ${condition} FOR UPDATE`,
    [backupId],
  )
  return rows.map((row) => row.id)
}
