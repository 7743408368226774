import { createEnvironment } from '../../shared/catalog/environments.ts'
import { createPlan } from '../../shared/catalog/plans.ts'
import { loadWorkerConfig } from '../../shared/config.ts'
import { DEFAULT_POLICY } from '../../shared/domain/retention/policy.ts'
import type { ScheduleRule } from '../../shared/domain/schedule-rule.ts'
import { openLog } from '../../shared/log.ts'
import { fireDueSchedules, type FiringContext } from '../../workers/tick/fire-schedules.ts'
import type { TestCoffer } from './coffer.ts'

const SCOPE = { organisationId: null }

export interface PlannedEnvironment {
  id: string
  planId: string
  serviceId: string
}

/** An environment with these rules and one service instance, made at `now`. Nothing listens at its address. */
export async function addPlanned(
  { catalog }: TestCoffer,
  input: { rules: ScheduleRule[]; timezone: string; now: Date; slug?: string; expectedWithinHours?: number },
): Promise<PlannedEnvironment> {
  const slug = input.slug ?? 'planned'
  const plan = await createPlan(
    catalog,
    {
      slug,
      name: slug,
      schedules: input.rules,
      retention: DEFAULT_POLICY,
      expected_within_hours: input.expectedWithinHours,
    },
    input.now,
  )
  const [application] = await catalog.query<{ id: string }>('SELECT id FROM applications')
  const { uuid } = await createEnvironment(catalog, {
    applicationId: application?.id ?? '',
    slug,
    planId: plan.uuid,
    storeId: null,
    timezone: input.timezone,
    scope: SCOPE,
    now: input.now,
  })
  const [service] = await catalog.query<{ id: string }>(
    `INSERT INTO service_instances (id, environment_id, type, prefix, connection, created_at)
     VALUES (gen_random_uuid(), $1, 'DATABASE', 'DEFAULT', '', $2) RETURNING id`,
    [uuid, input.now],
  )
  return { id: uuid, planId: plan.uuid, serviceId: service?.id ?? '' }
}

/** What firing needs, with a clock that stands still until it is set. */
export function firingAt(coffer: TestCoffer, start: Date): FiringContext & { set(now: Date): void } {
  let now = start
  return {
    catalog: coffer.catalog,
    config: loadWorkerConfig(coffer.env),
    log: openLog('test', 'error'),
    clock: () => now,
    set(next) {
      now = next
    },
  }
}

/** Turns the reconciler's firing step every `minutes`, from now until `end`. */
export async function turnClock(context: ReturnType<typeof firingAt>, end: Date, minutes: number): Promise<void> {
  for (let now = context.clock(); now <= end; now = new Date(now.getTime() + minutes * 60_000)) {
    context.set(now)
    await fireDueSchedules(context)
  }
}

export interface ScheduledBackup {
  id: string
  due_at: Date
  bucket_date: string
  late: boolean
  success: string | null
}

export const scheduledBackups = ({ catalog }: TestCoffer): Promise<ScheduledBackup[]> =>
  catalog.query(
    `SELECT id, due_at, bucket_date, late, success FROM backups WHERE trigger = 'SCHEDULED' ORDER BY due_at`,
  )

/** Ends what waits as if a worker had sealed it at `now`. */
export async function sealAll({ catalog }: TestCoffer, now: Date): Promise<void> {
  await catalog.query(
    `UPDATE service_instance_backups SET state = 'COMPLETED', success = 'SUCCESS', attempt = 1, ended_at = $1 WHERE state = 'QUEUED'`,
    [now],
  )
  await catalog.query(
    `UPDATE backups SET state = 'COMPLETED', success = 'SUCCESS', ended_at = $1 WHERE state IN ('QUEUED', 'RUNNING')`,
    [now],
  )
}

export const occurrences = ({ catalog }: TestCoffer) =>
  catalog.query<{ due_at: Date; state: string; has_backup: boolean }>(
    'SELECT due_at, state, backup_id IS NOT NULL AS has_backup FROM occurrences ORDER BY due_at',
  )

export const parts = ({ catalog }: TestCoffer) =>
  catalog.query<{ id: string; state: string; success: string | null; errors: { code: string }[] }>(
    `SELECT s.id, s.state, s.success, s.errors FROM service_instance_backups s JOIN backups b ON b.id = s.backup_id ORDER BY b.due_at`,
  )

export const openAlerts = async ({ catalog }: TestCoffer): Promise<string[]> =>
  (await catalog.query<{ kind: string }>('SELECT kind FROM alerts WHERE resolved_at IS NULL')).map(({ kind }) => kind)
