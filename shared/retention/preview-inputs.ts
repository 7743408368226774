import type { Db } from '../catalog/database.ts'
import { loadRetention, type InstanceBackups } from '../catalog/retention.ts'
import type { ScheduleRule } from '../domain/schedule-rule.ts'
import type { ServiceType } from '../domain/states.ts'
import { nextDue, timetableOf } from '../schedules/due-times.ts'

const DAY_MS = 86_400_000
/** Enough for hourly schedules and 400 days. */
const MAX_DUE_TIMES = 10_000

export interface PreviewedInstance extends InstanceBackups {
  /** It is still backed up. */
  isLive: boolean
  timezone: string
}

/** Every service instance that is backed up or has backups. */
export async function listPreviewed(db: Db, environmentId: string): Promise<PreviewedInstance[]> {
  const loaded = new Map(
    (await loadRetention(db, environmentId)).map((found) => [found.serviceInstance, found.backups]),
  )
  const rows = await db.query<Omit<PreviewedInstance, 'backups'> & { serviceType: ServiceType }>(
    `SELECT si.id AS "serviceInstance", si.type AS "serviceType", si.prefix, si.deleted_at IS NULL AS "isLive", e.timezone
       FROM service_instances si JOIN environments e ON e.id = si.environment_id
      WHERE e.id = $1 ORDER BY si.type, si.prefix, si.id`,
    [environmentId],
  )
  return rows
    .map((row) => ({ ...row, backups: loaded.get(row.serviceInstance) ?? [] }))
    .filter(({ isLive, backups }) => isLive || backups.length > 0)
}

/** When the schedules of an environment, or other rules, would come due in the next days, in order. */
export async function dueTimesWithin(
  db: Db,
  environmentId: string,
  { days, now, rules }: { days: number; now: Date; rules?: readonly ScheduleRule[] | undefined },
): Promise<Date[]> {
  const schedules = await db.query<{ rule: ScheduleRule; id: string; timezone: string }>(
    `SELECT r.rule, e.id, e.timezone FROM environments e CROSS JOIN LATERAL (
            SELECT rule FROM schedules WHERE environment_id = e.id AND deleted_at IS NULL AND $2::jsonb IS NULL
            UNION ALL SELECT jsonb_array_elements($2)) r
      WHERE e.id = $1 AND e.deleted_at IS NULL`,
    [environmentId, rules ? JSON.stringify(rules) : null],
  )
  const end = new Date(now.getTime() + days * DAY_MS)
  const found = new Set<number>()
  for (const { rule, ...environment } of schedules) {
    const timetable = timetableOf(rule, environment)
    let due = nextDue(timetable, now)
    while (due && due <= end && found.size < MAX_DUE_TIMES) {
      found.add(due.getTime())
      due = nextDue(timetable, due)
    }
  }
  return [...found].sort((a, b) => a - b).map((time) => new Date(time))
}
