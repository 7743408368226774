import { DEFAULT_VERIFICATION } from '../domain/verification.ts'
import type { Db } from './database.ts'

/** What has not passed within so many times the plan's interval is overdue. */
const PATIENCE = 2

const RULE = (level: 'metadata' | 'checksum' | 'drill') =>
  `make_interval(days => ${PATIENCE} * (coalesce(p.verification, $2::jsonb)->'${level}'->>'every_days')::int)`
const isoTime = (column: string) => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"')`

// What is known to be corrupt or lost has an alert of its own.
const LATE_VERIFICATIONS = `
  SELECT e.id::text AS subject, e.id AS environment_id,
         e.slug || ' of ' || a.slug || ': ' || count(*) || ' backup(s) have not passed a verification in time, the oldest since '
           || ${isoTime('min(least(checked, hashed))')} AS message
    FROM (SELECT s.*, b.environment_id, coalesce(s.metadata_verified_at, s.ended_at) AS checked,
                 coalesce(s.checksum_verified_at, s.ended_at) AS hashed
            FROM service_instance_backups s JOIN backups b ON b.id = s.backup_id
           WHERE s.state = 'COMPLETED' AND s.success IN ('SUCCESS', 'PARTIAL') AND s.corrupt_at IS NULL AND s.lost_at IS NULL AND s.unverified_at IS NULL
             AND least(coalesce(s.metadata_verified_at, s.ended_at), coalesce(s.checksum_verified_at, s.ended_at))
                 <= $1::timestamptz - interval '1 day') s
    JOIN environments e ON e.id = s.environment_id
    JOIN applications a ON a.id = e.application_id
    LEFT JOIN plans p ON p.id = e.plan_id
   WHERE s.checked <= $1::timestamptz - ${RULE('metadata')} OR s.hashed <= $1::timestamptz - ${RULE('checksum')}
   GROUP BY e.id, e.slug, a.slug`

// Counted from its last drill that passed, else from its first good backup.
const LATE_DRILLS = `
  SELECT i.id::text AS subject, e.id AS environment_id,
         e.slug || ' of ' || a.slug || ': ' || i.prefix || ' (' || i.type || ') has passed no drill since ' || ${isoTime('since.at')} AS message
    FROM service_instances i
    JOIN environments e ON e.id = i.environment_id AND e.deleted_at IS NULL
    JOIN applications a ON a.id = e.application_id AND a.deleted_at IS NULL
    LEFT JOIN plans p ON p.id = e.plan_id
   CROSS JOIN LATERAL (SELECT coalesce(
           (SELECT max(v.ended_at) FROM verifications v
             WHERE v.service_instance_id = i.id AND v.level = 'drill' AND v.outcome = 'passed'),
           (SELECT min(s.ended_at) FROM service_instance_backups s JOIN backups b ON b.id = s.backup_id
             WHERE s.service_instance_id = i.id AND s.state = 'COMPLETED' AND s.success = 'SUCCESS'
               AND b.policy_class IN ('scheduled', 'on_demand'))) AS at) since
   WHERE i.deleted_at IS NULL AND since.at <= $1::timestamptz - ${RULE('drill')}`

/** Raises an alert for each environment whose verifications, and each service instance whose drill, is overdue; resolves the others. */
export async function syncVerificationAlerts(db: Db, now: Date): Promise<void> {
  for (const [kind, late] of [
    ['verify-overdue', LATE_VERIFICATIONS],
    ['drill-overdue', LATE_DRILLS],
  ] as const)
    await db.query(
      `WITH late AS (${late}), raised AS (
         INSERT INTO alerts (kind, subject, environment_id, message, raised_at)
         SELECT $3, subject, environment_id, message, $1::timestamptz FROM late
             ON CONFLICT (kind, subject) WHERE resolved_at IS NULL DO UPDATE SET message = excluded.message
                WHERE alerts.message <> excluded.message)
       UPDATE alerts SET resolved_at = $1 WHERE kind = $3 AND resolved_at IS NULL
          AND NOT EXISTS (SELECT 1 FROM late WHERE late.subject = alerts.subject)`,
      [now, JSON.stringify(DEFAULT_VERIFICATION), kind],
    )
  // Nobody drills for a service instance that is gone, so nothing else would end these.
  await db.query(
    `UPDATE alerts SET resolved_at = $1 WHERE kind IN ('drill-failed', 'verify-unreadable') AND resolved_at IS NULL
        AND EXISTS (SELECT 1 FROM service_instances i JOIN environments e ON e.id = i.environment_id
                     WHERE i.id::text = subject AND (i.deleted_at IS NOT NULL OR e.deleted_at IS NOT NULL))`,
    [now],
  )
}
