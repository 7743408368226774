import { DEFAULT_VERIFICATION } from '../domain/verification.ts'
import type { Catalog, Db } from './database.ts'
import { GOOD } from './good.ts'
import { ringVerifications } from './outbox.ts'

// What nobody has accepted yet is not known to be ours: only a person asks about it.
const SEALED = `s.state = 'COMPLETED' AND s.success IN ('SUCCESS', 'PARTIAL') AND s.manifest IS NOT NULL AND s.unverified_at IS NULL`
const DRILLABLE = `${GOOD('s')} AND b.policy_class IN ('scheduled', 'on_demand')`

/** Every environment, also deleted ones, with what its plan says of `level`; without a plan the default. Needs $2. */
const RULED = (level: 'metadata' | 'checksum' | 'drill', field: 'every_days' | 'most_per_day' = 'every_days') =>
  `(coalesce(p.verification, $2::jsonb)->'${level}'->>'${field}')::int`

/** What could not be read is tried again so much later. */
const RETRY = { metadata: '1 hour', checksum: '1 day', drill: '1 day' } as const
/** What was sealed just now was proven just now; who makes a backup for an hour wants none of this. */
const FIRST_DRILL_AFTER = '1 hour'

/** Ids of the newest good service-instance backup of each live service instance of an environment. */
export async function newestGood(db: Db, environmentId: string): Promise<string[]> {
  const rows = await db.query<{ id: string }>(
    `SELECT DISTINCT ON (i.id) s.id
       FROM service_instances i JOIN service_instance_backups s ON s.service_instance_id = i.id JOIN backups b ON b.id = s.backup_id
      WHERE i.environment_id = $1 AND i.deleted_at IS NULL AND ${DRILLABLE}
      ORDER BY i.id, coalesce(b.due_at, b.created_at) DESC, s.id DESC`,
    [environmentId],
  )
  return rows.map(({ id }) => id)
}

/** Enqueues every verification that is due by its plan. May be called any number of times, also at once. @returns how many */
export function enqueueDueVerifications(catalog: Catalog, now: Date): Promise<number> {
  return catalog.transaction(async (tx) => {
    const values = [now, JSON.stringify(DEFAULT_VERIFICATION)]
    const made: string[] = []
    for (const due of [METADATA_DUE, CHECKSUM_DUE, DRILLS_DUE])
      made.push(
        ...(
          await tx.query<{ id: string }>(
            `INSERT INTO verifications (id, environment_id, service_instance_id, service_instance_backup_id, level, trigger, queued_at)
             ${due} ON CONFLICT DO NOTHING RETURNING id`,
            values,
          )
        ).map(({ id }) => id),
      )
    await ringVerifications(tx, made)
    return made.length
  })
}

const INTERVAL = (days: string) => `make_interval(days => ${days})`

// One for the whole environment: it is a listing and one small object for each backup.
const METADATA_DUE = `
  SELECT gen_random_uuid(), e.id, NULL::uuid, NULL::uuid, 'metadata', 'SCHEDULED', $1::timestamptz
    FROM (SELECT b.environment_id AS id, min(coalesce(s.metadata_verified_at, s.ended_at)) AS oldest
            FROM service_instance_backups s JOIN backups b ON b.id = s.backup_id
           WHERE ${SEALED} AND coalesce(s.metadata_verified_at, s.ended_at) <= $1::timestamptz - interval '1 day'
           GROUP BY b.environment_id) due
    JOIN environments e ON e.id = due.id
    LEFT JOIN plans p ON p.id = e.plan_id
    LEFT JOIN LATERAL (SELECT v.queued_at, v.outcome FROM verifications v
                        WHERE v.environment_id = e.id AND v.service_instance_backup_id IS NULL ORDER BY v.queued_at DESC LIMIT 1) last ON true
   WHERE due.oldest <= $1::timestamptz - ${INTERVAL(RULED('metadata'))}
     AND (last.queued_at IS NULL OR last.queued_at <= $1::timestamptz
            - CASE last.outcome WHEN 'unreadable' THEN interval '${RETRY.metadata}' ELSE ${INTERVAL(RULED('metadata'))} END)`

// By when it was last tried, or what can't be read would take the day's turns every day.
const CHECKSUM_DUE = `
  SELECT gen_random_uuid(), environment_id, service_instance_id, id, 'checksum', 'SCHEDULED', $1::timestamptz
    FROM (SELECT s.id, s.service_instance_id, b.environment_id, ${RULED('checksum', 'most_per_day')} AS most,
                 row_number() OVER (PARTITION BY b.environment_id
                                    ORDER BY greatest(coalesce(s.checksum_verified_at, s.ended_at), last.queued_at), s.id) AS turn
            FROM service_instance_backups s
            JOIN backups b ON b.id = s.backup_id
            JOIN environments e ON e.id = b.environment_id
            LEFT JOIN plans p ON p.id = e.plan_id
            LEFT JOIN LATERAL (SELECT v.queued_at, v.outcome FROM verifications v
                                WHERE v.service_instance_backup_id = s.id AND v.level = 'checksum'
                                ORDER BY v.queued_at DESC LIMIT 1) last ON true
           WHERE ${SEALED} AND s.lost_at IS NULL
             AND coalesce(s.checksum_verified_at, s.ended_at) <= $1::timestamptz - interval '1 day'
             AND coalesce(s.checksum_verified_at, s.ended_at) <= $1::timestamptz - ${INTERVAL(RULED('checksum'))}
             AND (last.queued_at IS NULL OR last.queued_at <= $1::timestamptz
                    - CASE last.outcome WHEN 'unreadable' THEN interval '${RETRY.checksum}' ELSE ${INTERVAL(RULED('checksum'))} END)) due
   WHERE turn + (SELECT count(*) FROM verifications v WHERE v.environment_id = due.environment_id AND v.level = 'checksum'
                    AND v.trigger = 'SCHEDULED' AND v.queued_at > $1::timestamptz - interval '1 day') <= most`

const DRILLS_DUE = `
  SELECT gen_random_uuid(), due.environment_id, due.service_instance_id, due.id, 'drill', 'SCHEDULED', $1::timestamptz
    FROM (SELECT DISTINCT ON (i.id) i.id AS service_instance_id, e.id AS environment_id, s.id, ${RULED('drill')} AS every_days
            FROM service_instances i
            JOIN environments e ON e.id = i.environment_id AND e.deleted_at IS NULL
            JOIN applications a ON a.id = e.application_id AND a.deleted_at IS NULL
            LEFT JOIN plans p ON p.id = e.plan_id
            JOIN service_instance_backups s ON s.service_instance_id = i.id
            JOIN backups b ON b.id = s.backup_id
           WHERE i.deleted_at IS NULL AND ${DRILLABLE}
           ORDER BY i.id, coalesce(b.due_at, b.created_at) DESC, s.id DESC) due
    LEFT JOIN LATERAL (SELECT v.queued_at, v.outcome, v.state FROM verifications v
                        WHERE v.service_instance_id = due.service_instance_id AND v.level = 'drill'
                        ORDER BY v.queued_at DESC LIMIT 1) last ON true
   WHERE due.every_days IS NOT NULL
     AND EXISTS (SELECT 1 FROM service_instance_backups s JOIN backups b ON b.id = s.backup_id
                  WHERE s.service_instance_id = due.service_instance_id AND ${DRILLABLE}
                    AND s.ended_at <= $1::timestamptz - interval '${FIRST_DRILL_AFTER}')
     AND (last.queued_at IS NULL OR last.state = 'COMPLETED' AND last.queued_at <= $1::timestamptz
            - CASE last.outcome WHEN 'passed' THEN ${INTERVAL('due.every_days')} ELSE interval '${RETRY.drill}' END)`
