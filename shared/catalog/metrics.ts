import type { Outcome, ServiceType } from '../domain/states.ts'
import type { Db } from './database.ts'
import { GOOD } from './good.ts'
import { listLiving, type LivingWorker } from './heartbeats.ts'
import { overdue } from './overdue.ts'

/** Of a service instance that is being backed up. Times in seconds, sizes in bytes; null where there is no good backup. */
export interface InstanceMetrics {
  application: string
  environment: string
  prefix: string
  type: ServiceType
  /** The due time, or the time of the request, of the newest good one. */
  last_good_at: Date | null
  duration_seconds: number | null
  plain_bytes: number | null
  stored_bytes: number | null
}

/** Everything that a scrape shows of the whole installation. The counts are of rows that are never deleted, so they only grow. */
export interface CatalogMetrics {
  instances: InstanceMetrics[]
  /** Ended service-instance backups. */
  outcomes: { type: ServiceType; success: Outcome; count: number }[]
  /** Failed attempts by their code. */
  failures: { code: string; count: number }[]
  deleted: number
  /** What went through the pipeline in sealed runs, and the seconds that it took. */
  moved: { type: ServiceType; plain_bytes: number; stored_bytes: number; seconds: number }[]
  /** Backups that could begin now and have not, and the longest wait among them. */
  waiting: { count: number; longest_seconds: number }
  /** How long those waited that began within the last hour; null when none did. */
  wait_p50_seconds: number | null
  wait_p95_seconds: number | null
  environments: { application: string; environment: string; pruning_stopped: boolean; last_pruned_at: Date | null }[]
  alerts: { kind: string; count: number }[]
  overdue: { application: string; environment: string }[]
  verifications: { level: string; outcome: string; count: number }[]
  /** When a drill of a service instance last passed. */
  drills: { application: string; environment: string; prefix: string; type: ServiceType; passed_at: Date }[]
  workers: LivingWorker[]
}

/** @param options.now decides who is overdue, and nothing else */
export async function readMetrics(
  db: Db,
  { now, workersDownSeconds }: { now: Date; workersDownSeconds: number },
): Promise<CatalogMetrics> {
  const [counts] =
    await db.query<Pick<CatalogMetrics, 'deleted' | 'waiting' | 'wait_p50_seconds' | 'wait_p95_seconds'>>(COUNTS)
  if (!counts) throw new Error('the catalog counted nothing')
  return {
    ...counts,
    instances: await db.query(INSTANCES),
    outcomes: await db.query(OUTCOMES),
    failures: await db.query(FAILURES),
    moved: await db.query(MOVED),
    environments: await db.query(ENVIRONMENTS),
    alerts: await db.query('SELECT kind, count(*) AS count FROM alerts WHERE resolved_at IS NULL GROUP BY kind'),
    verifications: await db.query(VERIFICATIONS),
    drills: await db.query(DRILLS),
    workers: await listLiving(db, workersDownSeconds),
    overdue: (await overdue(db, { organisationId: null }, now)).map(({ application, slug: environment }) => ({
      application,
      environment,
    })),
  }
}

const INSTANCES = `
  SELECT a.slug AS application, e.slug AS environment, i.prefix, i.type, good.*
    FROM service_instances i
    JOIN environments e ON e.id = i.environment_id
    JOIN applications a ON a.id = e.application_id
    LEFT JOIN LATERAL (
      SELECT coalesce(b.due_at, b.created_at) AS last_good_at, extract(epoch FROM s.ended_at - s.started_at)::float8 AS duration_seconds,
             s.plain_size AS plain_bytes, s.stored_size AS stored_bytes
        FROM service_instance_backups s JOIN backups b ON b.id = s.backup_id
       WHERE s.service_instance_id = i.id AND ${GOOD('s')}
         AND b.trigger <> 'UPLOAD' AND b.policy_class IN ('scheduled', 'on_demand')
       ORDER BY s.ended_at DESC LIMIT 1) good ON true
   WHERE i.deleted_at IS NULL AND e.deleted_at IS NULL AND a.deleted_at IS NULL`

const OUTCOMES = `
  SELECT i.type, s.success, count(*) AS count FROM service_instance_backups s
    JOIN service_instances i ON i.id = s.service_instance_id WHERE s.success IS NOT NULL GROUP BY i.type, s.success`

const FAILURES = `
  SELECT error->>'code' AS code, count(*) AS count FROM service_instance_backups, jsonb_array_elements(errors) error
   WHERE errors <> '[]' GROUP BY 1`

const MOVED = `
  SELECT i.type, sum(s.plain_size)::float8 AS plain_bytes, sum(s.stored_size)::float8 AS stored_bytes,
         sum(extract(epoch FROM s.ended_at - s.started_at))::float8 AS seconds
    FROM service_instance_backups s JOIN service_instances i ON i.id = s.service_instance_id
   WHERE s.success IN ('SUCCESS', 'PARTIAL') AND s.plain_size IS NOT NULL GROUP BY i.type`

const ENVIRONMENTS = `
  SELECT a.slug AS application, e.slug AS environment, e.pruning_stopped_at IS NOT NULL AS pruning_stopped, e.last_pruned_at
    FROM environments e JOIN applications a ON a.id = e.application_id WHERE e.deleted_at IS NULL AND a.deleted_at IS NULL`

const VERIFICATIONS = `SELECT level, outcome, count(*) AS count FROM verifications WHERE outcome IS NOT NULL GROUP BY level, outcome`

const DRILLS = `
  SELECT a.slug AS application, e.slug AS environment, i.prefix, i.type, max(v.ended_at) AS passed_at
    FROM verifications v
    JOIN service_instances i ON i.id = v.service_instance_id
    JOIN environments e ON e.id = i.environment_id
    JOIN applications a ON a.id = e.application_id
   WHERE v.level = 'drill' AND v.outcome = 'passed' AND i.deleted_at IS NULL AND e.deleted_at IS NULL AND a.deleted_at IS NULL
   GROUP BY a.slug, e.slug, i.prefix, i.type`

// A backup that waits for its sibling run, or for its next try, is not waiting for a worker.
const COUNTS = `
  SELECT (SELECT count(*) FROM service_instance_backups WHERE state = 'DELETED') AS deleted,
         (SELECT jsonb_build_object('count', count(*),
                   'longest_seconds', coalesce(extract(epoch FROM now() - min(greatest(q.queued_at, q.not_before))), 0))
            FROM service_instance_backups q WHERE q.state = 'QUEUED' AND q.not_before <= now()
             AND NOT EXISTS (SELECT 1 FROM service_instance_backups r WHERE r.service_instance_id = q.service_instance_id
                                AND r.state IN ('RUNNING', 'SEALING'))) AS waiting,
         w.p[1] AS wait_p50_seconds, w.p[2] AS wait_p95_seconds
    FROM (SELECT percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM started_at - queued_at)) AS p
            FROM service_instance_backups WHERE started_at > now() - interval '1 hour' AND attempt = 1) w`
