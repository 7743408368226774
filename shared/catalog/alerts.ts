import type { Db } from './database.ts'

/** What an alert is about. `subject` names the thing by id, so that one thing raises one alert. */
export interface Alert {
  kind: 'overdue' | 'suspect' | 'missed' | 'prune-stopped' | 'prune-failed' | 'lost'
  subject: string
  environmentId: string | null
  message: string
}

/** Raises it unless it is open already; an open one takes the newer message. */
export async function raiseAlert(db: Db, alert: Alert, now: Date): Promise<void> {
  await db.query(
    `INSERT INTO alerts (kind, subject, environment_id, message, raised_at) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (kind, subject) WHERE resolved_at IS NULL DO UPDATE SET message = excluded.message`,
    [alert.kind, alert.subject, alert.environmentId, alert.message, now],
  )
}

/** Resolves the open alert, if there is one. */
export async function resolveAlert(db: Db, { kind, subject }: Pick<Alert, 'kind' | 'subject'>, now: Date): Promise<void> {
  await db.query('UPDATE alerts SET resolved_at = $3 WHERE kind = $1 AND subject = $2 AND resolved_at IS NULL', [
    kind,
    subject,
    now,
  ])
}
