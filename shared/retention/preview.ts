import { createHash } from 'node:crypto'
import type { Db } from '../catalog/database.ts'
import { policyOf } from '../catalog/plans.ts'
import { loadRetention, viewOf, type InstanceRetention } from '../catalog/retention.ts'
import { canonicalJson } from '../domain/canonical-json.ts'
import type { RetentionPolicy } from '../domain/retention/policy.ts'
import type { ScheduleRule } from '../domain/schedule-rule.ts'
import type { ServiceType } from '../domain/states.ts'
import { CofferError } from '../errors.ts'
import { dueTimesWithin, listPreviewed } from './preview-inputs.ts'
import { simulate, type SimulatedEnd } from './simulate.ts'

export interface InstancePreview {
  service_instance: string
  service_type: ServiceType
  prefix: string
  /** What a prune at this moment would do, newest first. */
  today: InstanceRetention['verdicts']
  /** What there is at the end, newest first: backups of today and simulated ones. */
  kept: SimulatedEnd[]
  /** Backups of today that go on the way, in the order in which they go. */
  going: { id: string; backup: string; at: Date; label: string | null; goes_at: Date; rule: string; reason: string }[]
  /** How many are kept at the end, by label; those without a label by their policy class. */
  counts: Record<string, number>
}

/**
 * What a policy keeps of an environment over the next days: today's backups, and one good scheduled one at every due time of its schedules,
 * each followed by a prune. A simulation with the planner that prunes; nothing is written.
 * @param rules schedules to look ahead by instead of the environment's own
 */
export async function previewPolicy(
  db: Db,
  environmentId: string,
  policy: RetentionPolicy,
  { days, now, rules }: { days: number; now: Date; rules?: readonly ScheduleRule[] | undefined },
): Promise<InstancePreview[]> {
  const instances = await listPreviewed(db, environmentId)
  const dueTimes = await dueTimesWithin(db, environmentId, { days, now, rules })
  const previews: InstancePreview[] = []
  for (const { isLive, timezone, ...instance } of instances) {
    const { verdicts: today, ...named } = viewOf(instance, policy, now)
    const { kept, going } = await simulate(policy, instance.backups, {
      now,
      days,
      dueTimes: isLive ? dueTimes : [],
      timezone,
    })
    const counts = Map.groupBy(kept, ({ label, policy_class }) => label ?? policy_class)
    const counted = Object.fromEntries([...counts].map(([name, those]) => [name, those.length]))
    previews.push({ ...named, today, kept, going, counts: counted })
  }
  return previews
}

export interface ChangeOfPlan {
  /** What goes by the new policy at this moment and would stay by the present one. */
  deletesMore: {
    environment: string
    service_instance: string
    service_type: ServiceType
    prefix: string
    service_instance_backup: string
    backup: string
    at: Date
    label: string | null
    reason: string
  }[]
  /** Of exactly this change: whoever sends it back has seen what it deletes. */
  digest: string
}

/** What another policy would delete today, in one environment or in all that follow a plan, also deleted ones. */
export async function changeOfPlan(
  db: Db,
  subject: { environmentId: string } | { planId: string },
  newPolicy: RetentionPolicy,
  now: Date,
): Promise<ChangeOfPlan> {
  const environments = 'environmentId' in subject ? [subject.environmentId] : await environmentsOf(db, subject.planId)
  const deletesMore: ChangeOfPlan['deletesMore'] = []
  for (const environment of environments) {
    const policy = await presentPolicy(db, environment)
    for (const instance of await loadRetention(db, environment)) {
      const goingToday = new Set(policy ? going(viewOf(instance, policy, now)).map(({ id }) => id) : [])
      const { verdicts, ...named } = viewOf(instance, newPolicy, now)
      for (const { id, backup, at, current_label: label, reason } of going({ verdicts }))
        if (!goingToday.has(id))
          deletesMore.push({ environment, ...named, service_instance_backup: id, backup, at, label, reason })
    }
  }
  const ids = deletesMore.map((line) => line.service_instance_backup).sort()
  const digest = createHash('sha256')
    .update(canonicalJson({ ids, policy: newPolicy }))
    .digest('hex')
  return { deletesMore, digest }
}

const going = ({ verdicts }: Pick<InstanceRetention, 'verdicts'>) =>
  verdicts.filter(({ action }) => action === 'delete')

/** null for one that is not valid: it deletes nothing. */
async function presentPolicy(db: Db, environmentId: string): Promise<RetentionPolicy | null> {
  try {
    return await policyOf(db, environmentId)
  } catch (error) {
    if (error instanceof CofferError && error.code === 'PLAN_INVALID') return null
    throw error
  }
}

async function environmentsOf(db: Db, planId: string): Promise<string[]> {
  const rows = await db.query<{ id: string }>('SELECT id FROM environments WHERE plan_id = $1 ORDER BY id', [planId])
  return rows.map((row) => row.id)
}
