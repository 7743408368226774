import type { RetentionPolicy } from '../domain/retention/policy.ts'
import { planInstance, type KeptBackup } from './plan-instance.ts'

/** What a prune compares its clock with. */
export interface PruneMoment {
  now: Date
  /** When a prune last was let through; null: never. */
  lastPrunedAt: Date | null
  /** The newest moment at which a backup of the environment was due, made or sealed; null: there is none. */
  newestAt: Date | null
}

/** Machines disagree about the time by so much without anything being wrong. */
const SKEW_MS = 5 * 60_000
/** Prunes come once a day at least; what goes within this of the last one goes by the usual course of time. */
const USUAL_MS = 48 * 3_600_000
const ALWAYS_ALLOWED = 3
const ALLOWED_SHARE = 0.2

/** Why nothing may be pruned at this moment, in words; null: nothing stands against it. */
export function guardAgainst(
  policy: RetentionPolicy,
  instances: readonly (readonly KeptBackup[])[],
  moment: PruneMoment,
): string | null {
  return guardClock(moment) ?? guardJump(policy, instances, moment)
}

function guardClock({ now, lastPrunedAt, newestAt }: PruneMoment): string | null {
  const known = Math.max(lastPrunedAt?.getTime() ?? 0, newestAt?.getTime() ?? 0)
  if (now.getTime() >= known - SKEW_MS) return null
  const what = known === newestAt?.getTime() ? 'the newest backup' : 'the last prune'
  return `the clock says ${now.toISOString()}, which is before ${what} at ${new Date(known).toISOString()}`
}

/**
 * After a longer pause than ever in normal service (workers were down, or the clock has jumped), the time that has passed may not delete
 * more than 3 usable backups, or a fifth of them: these are the ones that would stay if only two days had passed. What overflows by
 * count, an outage never touches, so it never counts here.
 */
function guardJump(
  policy: RetentionPolicy,
  instances: readonly (readonly KeptBackup[])[],
  { now, lastPrunedAt }: PruneMoment,
): string | null {
  if (lastPrunedAt === null || now.getTime() - lastPrunedAt.getTime() <= USUAL_MS) return null
  const goingAt = (when: Date) =>
    instances.flatMap((backups) =>
      planInstance(policy, backups, when)
        .filter(({ action, backup }) => action === 'delete' && backup.standing !== 'bad')
        .map(({ id }) => id),
    )
  const usual = new Set(goingAt(new Date(lastPrunedAt.getTime() + USUAL_MS)))
  const unusual = goingAt(now).filter((id) => !usual.has(id)).length
  const usable = instances.flat().filter(({ standing }) => standing !== 'bad').length
  if (unusual <= Math.max(ALWAYS_ALLOWED, Math.floor(usable * ALLOWED_SHARE))) return null
  return `${unusual} of ${usable} usable backups would go at once, because the clock has moved from ${lastPrunedAt.toISOString()} to ${now.toISOString()}`
}
