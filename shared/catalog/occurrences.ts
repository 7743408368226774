import type { Db } from './database.ts'
import type { RunError } from './service-instance-backups.ts'

/** Claims a due time: true for the first who asks, for ever. */
export async function claimOccurrence(tx: Db, scheduleId: string, dueAt: Date, now: Date): Promise<boolean> {
  const rows = await tx.query(
    `INSERT INTO occurrences (schedule_id, due_at, state, decided_at) VALUES ($1, $2, 'fired', $3)
     ON CONFLICT DO NOTHING RETURNING 1`,
    [scheduleId, dueAt, now],
  )
  return rows.length > 0
}

export async function linkOccurrence(tx: Db, scheduleId: string, dueAt: Date, backupId: string): Promise<void> {
  await tx.query('UPDATE occurrences SET backup_id = $3 WHERE schedule_id = $1 AND due_at = $2', [
    scheduleId,
    dueAt,
    backupId,
  ])
}

/** Puts on record that nothing was made at these due times. */
export async function recordMissed(tx: Db, scheduleId: string, dueTimes: readonly Date[], now: Date): Promise<void> {
  if (dueTimes.length === 0) return
  await tx.query(
    `INSERT INTO occurrences (schedule_id, due_at, state, decided_at)
     SELECT $1, due_at, 'missed', $3 FROM unnest($2::timestamptz[]) AS due_at ON CONFLICT DO NOTHING`,
    [scheduleId, dueTimes, now],
  )
}

/**
 * Ends the backups of the schedule of which nothing was ever begun: CANCELLED, with this error on each service-instance backup.
 * @returns their due times
 */
export async function endWaitingBackups(tx: Db, scheduleId: string, error: RunError, now: Date): Promise<Date[]> {
  // The lock waits for a claim under way; a backup whose claim came first is RUNNING, and no longer found.
  const waiting = await tx.query<{ id: string; due_at: Date }>(
    `SELECT id, due_at FROM backups WHERE schedule_id = $1 AND state = 'QUEUED' ORDER BY due_at FOR UPDATE`,
    [scheduleId],
  )
  const ids = waiting.map((backup) => backup.id)
  if (ids.length === 0) return []
  await tx.query(
    `UPDATE service_instance_backups SET state = 'COMPLETED', success = 'CANCELLED', ended_at = $2, errors = errors || $3::jsonb
      WHERE backup_id = ANY($1::uuid[])`,
    [ids, now, JSON.stringify([error])],
  )
  await tx.query(
    `UPDATE backups SET state = 'COMPLETED', success = 'CANCELLED', ended_at = $2 WHERE id = ANY($1::uuid[])`,
    [ids, now],
  )
  const dueTimes = waiting.map((backup) => backup.due_at)
  await tx.query(`UPDATE occurrences SET state = 'missed' WHERE schedule_id = $1 AND due_at = ANY($2::timestamptz[])`, [
    scheduleId,
    dueTimes,
  ])
  return dueTimes
}

/** Resolves the alerts of schedules that have had a success since, or are no more. */
export async function resolveMissedAlerts(db: Db, now: Date): Promise<void> {
  await db.query(
    `UPDATE alerts l SET resolved_at = $1 WHERE l.kind = 'missed' AND l.resolved_at IS NULL AND (
       EXISTS (SELECT 1 FROM backups b WHERE b.schedule_id = l.subject::uuid AND b.success = 'SUCCESS' AND b.ended_at >= l.raised_at)
       OR NOT EXISTS (SELECT 1 FROM schedules s JOIN environments e ON e.id = s.environment_id
                        JOIN applications a ON a.id = e.application_id
                       WHERE s.id = l.subject::uuid AND s.deleted_at IS NULL AND e.deleted_at IS NULL AND a.deleted_at IS NULL))`,
    [now],
  )
}
