import type { Db } from './database.ts'
import type { Scope } from './scope.ts'

/** What an alert is about. `subject` names the thing by id, so that one thing raises one alert. */
export interface Alert {
  kind:
    | 'overdue'
    | 'suspect'
    | 'missed'
    | 'prune-stopped'
    | 'prune-failed'
    | 'lost'
    | 'corrupt'
    | 'verify-unreadable'
    | 'verify-failed'
    | 'verify-overdue'
    | 'drill-failed'
    | 'drill-overdue'
    | 'keys'
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
export async function resolveAlert(
  db: Db,
  { kind, subject }: Pick<Alert, 'kind' | 'subject'>,
  now: Date,
): Promise<void> {
  await db.query('UPDATE alerts SET resolved_at = $3 WHERE kind = $1 AND subject = $2 AND resolved_at IS NULL', [
    kind,
    subject,
    now,
  ])
}

/** An alert as the API shows it. */
export interface AlertView {
  uuid: string
  kind: Alert['kind']
  subject: string
  environment: string | null
  message: string
  raised_at: Date
}

/** The open ones, newest first; those of no environment are shown to the whole installation only. */
export async function listOpenAlerts(
  db: Db,
  { organisationId }: Scope,
  limit: number,
): Promise<{ rows: AlertView[]; count: number }> {
  const from = `FROM alerts l LEFT JOIN environments e ON e.id = l.environment_id LEFT JOIN applications a ON a.id = e.application_id
    WHERE l.resolved_at IS NULL AND ($1::uuid IS NULL OR a.organisation_id = $1)`
  const rows = await db.query<AlertView>(
    `SELECT l.id AS uuid, l.kind, l.subject, l.environment_id AS environment, l.message, l.raised_at ${from}
      ORDER BY l.raised_at DESC, l.id LIMIT $2`,
    [organisationId, limit],
  )
  const [total] = await db.query<{ count: number }>(`SELECT count(*) ${from}`, [organisationId])
  return { rows, count: total?.count ?? 0 }
}
