import type { RetentionRule } from '../domain/retention/decision.ts'
import { newestFirst } from '../domain/retention/input.ts'
import type { RetentionPolicy } from '../domain/retention/policy.ts'
import { standing, type Standing } from '../domain/standing.ts'
import type { Outcome, PolicyClass, ServiceType, State } from '../domain/states.ts'
import { planInstance, type KeptBackup } from '../retention/plan-instance.ts'
import type { Db } from './database.ts'
import { policyOf } from './plans.ts'

/** The condition that somebody reads service-instance backup `s`, or is about to. */
export const IS_READ = `(
  EXISTS (SELECT 1 FROM leases l WHERE l.kind = 'read' AND l.service_instance_backup_id = s.id AND l.expires_at > now())
  OR EXISTS (SELECT 1 FROM service_instance_restores r WHERE r.service_instance_backup_id = s.id AND r.state <> 'COMPLETED'))`

/** One service-instance backup as retention sees it. */
export interface RetentionRow extends KeptBackup {
  sealedAt: Date | null
  success: Outcome | null
  storedSize: number | null
}

export interface InstanceBackups {
  serviceInstance: string
  serviceType: ServiceType
  prefix: string
  /** Newest first. */
  backups: RetentionRow[]
}

type Loaded = Omit<RetentionRow, 'standing' | 'siblingsGood' | 'quarantined'> &
  Omit<InstanceBackups, 'backups'> & {
    state: State
    corrupt: boolean
    lost: boolean
    suspect: boolean
    siblings: number
  }

/** All that is not deleted of an environment, by service instance; also of those that are out of sight. A backup runs until all its parts have ended. */
export async function loadRetention(db: Db, environmentId: string): Promise<InstanceBackups[]> {
  const rows = await db.query<Loaded>(
    `SELECT s.id, s.backup_id AS "backupId", s.service_instance_id AS "serviceInstance", si.type AS "serviceType", si.prefix,
            b.policy_class AS "policyClass", s.state, s.success, s.label, s.corrupt_at IS NOT NULL AS corrupt,
            s.lost_at IS NOT NULL AS lost, s.suspect_reason IS NOT NULL AND s.suspect_cleared_at IS NULL AS suspect,
            greatest(s.corrupt_at, s.lost_at) AS "badSince", s.unverified_at IS NOT NULL AS unverified, coalesce(b.due_at, b.created_at) AS at, s.ended_at AS "sealedAt",
            b.bucket_date AS "bucketDate",
            to_char(coalesce(b.due_at, b.created_at) AT TIME ZONE e.timezone, 'YYYY-MM-DD"T"HH24') AS "localHour",
            b.held_at IS NOT NULL AS held, ${IS_READ} AS leased, b.state IN ('QUEUED', 'RUNNING') AS running,
            b.scheduled_for_deletion_at AS "scheduledForDeletionAt", b.delete_requested_at AS "deleteRequestedAt",
            b.delete_forced AS "deleteForced", s.stored_size AS "storedSize",
            (SELECT count(*) FROM service_instance_backups o WHERE o.backup_id = b.id) AS siblings
       FROM service_instance_backups s
       JOIN backups b ON b.id = s.backup_id
       JOIN environments e ON e.id = b.environment_id
       JOIN service_instances si ON si.id = s.service_instance_id
      WHERE b.environment_id = $1 AND s.state NOT IN ('DELETING', 'DELETED')
      ORDER BY si.type, si.prefix, si.id`,
    [environmentId],
  )
  const judged = rows.map((row) => ({ ...row, standing: standing(row) }))
  const good = Map.groupBy(
    judged.filter((row) => row.standing === 'good'),
    (row) => row.backupId,
  )
  return [...Map.groupBy(judged, (row) => row.serviceInstance).values()].map((ofInstance) => ({
    ...describeInstance(ofInstance[0]),
    backups: ofInstance
      .map((row) => ({
        ...row,
        quarantined: row.corrupt,
        siblingsGood: good.get(row.backupId)?.length === row.siblings,
      }))
      .sort(newestFirst),
  }))
}

function describeInstance(row: Loaded | undefined): Omit<InstanceBackups, 'backups'> {
  if (!row) throw new Error('a group has a member')
  return { serviceInstance: row.serviceInstance, serviceType: row.serviceType, prefix: row.prefix }
}

/** What becomes of one service-instance backup, and why. Sizes in bytes, stored. */
export interface RetentionLine {
  id: string
  backup: string
  action: 'keep' | 'delete'
  rule: RetentionRule
  /** A sentence for people. */
  reason: string
  /** The label after this plan, and the one it has now. */
  label: string | null
  current_label: string | null
  /** When it goes at the earliest, where a date is known. */
  until: Date | null
  at: Date
  bucket_date: string
  policy_class: PolicyClass
  standing: Standing
  size: number | null
}

export interface InstanceRetention {
  service_instance: string
  service_type: ServiceType
  prefix: string
  /** Newest first. */
  verdicts: RetentionLine[]
}

/** The very plan that a prune at `now` would carry out, with another policy if one is given. */
export async function retentionView(
  db: Db,
  environmentId: string,
  { policy, now }: { policy?: RetentionPolicy | undefined; now: Date },
): Promise<InstanceRetention[]> {
  const applied = policy ?? (await policyOf(db, environmentId))
  const instances = await loadRetention(db, environmentId)
  return instances.map((instance) => viewOf(instance, applied, now))
}

export function viewOf(instance: InstanceBackups, policy: RetentionPolicy, now: Date): InstanceRetention {
  return {
    service_instance: instance.serviceInstance,
    service_type: instance.serviceType,
    prefix: instance.prefix,
    verdicts: planInstance(policy, instance.backups, now).map(({ backup, ...verdict }, index) => ({
      ...verdict,
      backup: backup.backupId,
      current_label: backup.label,
      at: backup.at,
      bucket_date: backup.bucketDate,
      policy_class: backup.policyClass,
      standing: backup.standing,
      size: instance.backups[index]?.storedSize ?? null,
    })),
  }
}
