import type { ScheduleRule } from '../domain/schedule-rule.ts'
import { nextDue, timetableOf } from '../schedules/due-times.ts'
import type { Db } from './database.ts'
import type { Page, Scope } from './scope.ts'

interface PlannedEnvironment {
  id: string
  timezone: string
  rules: ScheduleRule[]
}

/**
 * Makes the schedules of an environment those of its plan, by name; of a deleted one: none. Call it in the transaction that changes
 * plan, zone or environment. Backups are never touched; what has come due and is undecided stays due.
 */
export async function syncSchedules(tx: Db, environmentId: string, now: Date): Promise<void> {
  // A plan that is being changed meanwhile would find this environment too late, and this one its old rules.
  await tx.query('SELECT 1 FROM plans WHERE id = (SELECT plan_id FROM environments WHERE id = $1) FOR SHARE', [
    environmentId,
  ])
  await syncWhere(tx, 'e.id = $1', environmentId, now)
}

/** The same for every environment of a plan, whose row the caller has changed. */
export const syncSchedulesOfPlan = (tx: Db, planId: string, now: Date): Promise<void> =>
  syncWhere(tx, 'e.plan_id = $1', planId, now)

async function syncWhere(tx: Db, condition: string, id: string, now: Date): Promise<void> {
  const environments = await tx.query<PlannedEnvironment>(
    `SELECT e.id, e.timezone,
            CASE WHEN e.deleted_at IS NULL AND a.deleted_at IS NULL THEN coalesce(p.schedules, '[]') ELSE '[]' END AS rules
       FROM environments e JOIN applications a ON a.id = e.application_id LEFT JOIN plans p ON p.id = e.plan_id
      WHERE ${condition}`,
    [id],
  )
  const wanted = JSON.stringify(
    environments.flatMap((environment) =>
      environment.rules.map((rule) => ({
        environment_id: environment.id,
        name: rule.name,
        rule,
        next_due_at: nextDue(timetableOf(rule, environment), now),
      })),
    ),
  )
  await tx.query(
    `UPDATE schedules s SET deleted_at = $3 WHERE s.environment_id = ANY($1::uuid[]) AND s.deleted_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM jsonb_to_recordset($2::jsonb) AS w(environment_id uuid, name text)
                         WHERE w.environment_id = s.environment_id AND w.name = s.name)`,
    [environments.map((environment) => environment.id), wanted, now],
  )
  await tx.query(
    `INSERT INTO schedules (id, environment_id, name, rule, next_due_at, created_at)
     SELECT gen_random_uuid(), environment_id, name, rule, next_due_at, $2
       FROM jsonb_to_recordset($1::jsonb) AS w(environment_id uuid, name text, rule jsonb, next_due_at timestamptz)
         ON CONFLICT (environment_id, name) WHERE deleted_at IS NULL DO UPDATE SET rule = excluded.rule,
            next_due_at = CASE WHEN schedules.next_due_at <= $2 THEN schedules.next_due_at ELSE excluded.next_due_at END`,
    [wanted, now],
  )
}

/** A schedule as the API shows it. */
export interface ScheduleView {
  uuid: string
  environment: string
  name: string
  rule: ScheduleRule
  timezone: string
  next_due_at: Date | null
  /** The newest due time that was decided: a backup was made, or it was missed. */
  last_due_at: Date | null
  created_at: Date
}

export interface ScheduleFilter {
  scope: Scope
  environmentId?: string | undefined
  page: Page
}

const LIVE = `FROM schedules s JOIN environments e ON e.id = s.environment_id JOIN applications a ON a.id = e.application_id
  WHERE s.deleted_at IS NULL AND e.deleted_at IS NULL AND a.deleted_at IS NULL`

/** What comes next is first. */
export async function listSchedules(
  db: Db,
  { scope, environmentId, page }: ScheduleFilter,
): Promise<{ rows: ScheduleView[]; count: number }> {
  const from = `${LIVE} AND ($1::uuid IS NULL OR a.organisation_id = $1) AND ($2::uuid IS NULL OR e.id = $2)`
  const values = [scope.organisationId, environmentId ?? null]
  const rows = await db.query<ScheduleView>(
    `SELECT s.id AS uuid, e.id AS environment, s.name, s.rule, e.timezone, s.next_due_at, s.last_due_at, s.created_at
       ${from} ORDER BY s.next_due_at, s.id LIMIT $3 OFFSET $4`,
    [...values, page.limit, page.offset],
  )
  const [total] = await db.query<{ count: number }>(`SELECT count(*) ${from}`, values)
  return { rows, count: total?.count ?? 0 }
}

/** A schedule that can come due. */
export interface LiveSchedule {
  id: string
  /** For people: `live · shop · nightly`. */
  title: string
  rule: ScheduleRule
  environment: { id: string; timezone: string }
}

const LIVE_COLUMNS = `s.id, e.slug || ' · ' || a.slug || ' · ' || s.name AS title, s.rule,
  jsonb_build_object('id', e.id, 'timezone', e.timezone) AS environment`

export const listLiveSchedules = (db: Db): Promise<LiveSchedule[]> =>
  db.query(`SELECT ${LIVE_COLUMNS} ${LIVE} AND s.next_due_at IS NOT NULL`)

/** Ids of what has come due, longest ago first. */
export async function dueSchedules(db: Db, now: Date): Promise<string[]> {
  const rows = await db.query<{ id: string }>(
    `SELECT s.id ${LIVE} AND s.next_due_at <= $1 ORDER BY s.next_due_at, s.id`,
    [now],
  )
  return rows.map((row) => row.id)
}

export interface DueSchedule extends LiveSchedule {
  /** The earliest due time that is not decided. */
  next_due_at: Date
  /** Whether the environment has anything to back up. */
  has_services: boolean
}

/** Locks the schedule, if it is due and neither it nor its environment is being changed; else null. Never waits. */
export async function lockDueSchedule(tx: Db, id: string, now: Date): Promise<DueSchedule | null> {
  const [row] = await tx.query<DueSchedule>(
    `SELECT ${LIVE_COLUMNS}, s.next_due_at,
            EXISTS (SELECT 1 FROM service_instances i WHERE i.environment_id = e.id AND i.deleted_at IS NULL) AS has_services
       ${LIVE} AND s.id = $1 AND s.next_due_at <= $2
        FOR UPDATE OF s SKIP LOCKED FOR SHARE OF e SKIP LOCKED`,
    [id, now],
  )
  return row ?? null
}

/** Everything up to `lastDue` is decided. */
export async function advanceSchedule(
  tx: Db,
  id: string,
  { lastDue, next }: { lastDue: Date; next: Date | null },
): Promise<void> {
  await tx.query('UPDATE schedules SET last_due_at = $2, next_due_at = $3 WHERE id = $1', [id, lastDue, next])
}
