import type { Db } from './database.ts'
import { GOOD } from './good.ts'
import type { Scope } from './scope.ts'

/** A backup may take so long after its due time before it is missed, unless the plan says otherwise. */
const GRACE_HOURS = 2

export interface OverdueEnvironment {
  environment: string
  slug: string
  /** The application's slug. */
  application: string
  expected_by: Date
  /** The due time, or the time of the request, of the newest good one; null when there is none. */
  last_good_at: Date | null
}

// The oldest of its service instances counts; what somebody has uploaded tells nothing of them. A due time on record was decided; the next one is not.
const OVERDUE = `
  WITH served AS (
    SELECT e.id, e.slug, a.slug AS application, p.expected_within_hours AS hours, i.created_at, good.at
      FROM environments e
      JOIN applications a ON a.id = e.application_id
      JOIN plans p ON p.id = e.plan_id
      JOIN service_instances i ON i.environment_id = e.id AND i.deleted_at IS NULL
      LEFT JOIN LATERAL (
        SELECT coalesce(b.due_at, b.created_at) AS at
          FROM service_instance_backups s JOIN backups b ON b.id = s.backup_id
         WHERE s.service_instance_id = i.id AND ${GOOD('s')}
           AND b.trigger <> 'UPLOAD' AND b.policy_class IN ('scheduled', 'on_demand')
         ORDER BY s.ended_at DESC LIMIT 1) good ON true
     WHERE e.deleted_at IS NULL AND a.deleted_at IS NULL AND ($1::uuid IS NULL OR a.organisation_id = $1)
  ), covered AS (
    SELECT id, slug, application, hours, CASE WHEN bool_and(at IS NOT NULL) THEN min(at) END AS last_good_at,
           min(coalesce(at, created_at)) AS since
      FROM served GROUP BY id, slug, application, hours
  ), expected AS (
    SELECT c.*, CASE WHEN hours IS NOT NULL THEN since + make_interval(hours => hours)
                     ELSE due.at + make_interval(hours => ${GRACE_HOURS}) END AS expected_by
      FROM covered c
      LEFT JOIN LATERAL (
        SELECT min(coalesce((SELECT min(o.due_at) FROM occurrences o WHERE o.schedule_id = s.id AND o.due_at > c.since),
                            s.next_due_at)) AS at
          FROM schedules s WHERE s.environment_id = c.id AND s.deleted_at IS NULL) due ON hours IS NULL
  )
  SELECT id AS environment, slug, application, expected_by, last_good_at FROM expected WHERE expected_by <= $2`

/**
 * Environments of which some service instance has had no good backup by the time that one was expected, longest overdue first.
 * Expected by: as many hours after the last good one as the plan says, else two hours after the first due time that followed it.
 * Without a plan, a schedule or a service instance nothing is expected.
 */
export const overdue = (db: Db, { organisationId }: Scope, now: Date): Promise<OverdueEnvironment[]> =>
  db.query(`${OVERDUE} ORDER BY expected_by, environment`, [organisationId, now])

/** Raises an alert for each environment that is overdue, and resolves those of the others. */
export async function syncOverdueAlerts(db: Db, now: Date): Promise<void> {
  await db.query(
    `WITH late AS (${OVERDUE}), raised AS (
       INSERT INTO alerts (kind, subject, environment_id, message, raised_at)
       SELECT 'overdue', environment, environment,
              slug || ' of ' || application || ': a good backup was expected by ' || ${isoTime('expected_by')} || '; '
                || coalesce('the last good one is of ' || ${isoTime('last_good_at')}, 'there is no good one at all'), $2
         FROM late
           ON CONFLICT (kind, subject) WHERE resolved_at IS NULL DO UPDATE SET message = excluded.message
              WHERE alerts.message <> excluded.message)
     UPDATE alerts SET resolved_at = $2 WHERE kind = 'overdue' AND resolved_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM late WHERE environment::text = subject)`,
    [null, now],
  )
}

const isoTime = (column: string) => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"')`
