import type { Standing } from '../standing.ts'
import type { PolicyClass } from '../states.ts'
import { decideByAge } from './ages.ts'
import { decideBad, decideByDate } from './dates.ts'
import { keep, remove, type Decision } from './decision.ts'
import { mayBeHeir, newestFirst, type RetentionInput } from './input.ts'
import type { RetentionPolicy, Tier } from './policy.ts'
import { cascade, type Placement } from './tiers.ts'

export type { RetentionRule } from './decision.ts'
export type { RetentionInput } from './input.ts'

export interface RetentionVerdict extends Decision {
  id: string
}

/**
 * Decides only, for the backups of ONE service instance: one verdict for each, in their order. Total: it never throws.
 * A hold beats everything, what a person asked for beats the policy, and no policy deletes the newest good one.
 * Planning again on what a plan leaves, with its labels, changes nothing.
 */
export function planRetention(
  policy: RetentionPolicy,
  backups: readonly RetentionInput[],
  now: Date,
): RetentionVerdict[] {
  const ruled = backups.filter((backup) => !backup.running && decideByDate(backup, now) === null)
  const byPolicy = decideByPolicy(policy, ruled, now)
  const newest = newestGood(ruled)
  return backups.map((backup) => {
    const decision = byPolicy.get(backup) ?? decideByDate(backup, now)
    return { id: backup.id, ...guard(backup, decision, newest.has(backup)) }
  })
}

/** The newest good one of all but safety backups, and of the scheduled ones, so that no on-demand one takes this shelter from a scheduled one. */
function newestGood(backups: readonly RetentionInput[]): Set<RetentionInput> {
  const good = backups.filter((backup) => backup.standing === 'good' && mayBeHeir(backup)).sort(newestFirst)
  const scheduled = good.filter(({ policyClass }) => policyClass === 'scheduled')
  return new Set([...good.slice(0, 1), ...scheduled.slice(0, 1)])
}

function decideByPolicy(
  { scheduled, on_demand, safety }: RetentionPolicy,
  backups: readonly RetentionInput[],
  now: Date,
): Map<RetentionInput, Decision> {
  const usable = (policyClass: PolicyClass) =>
    backups.filter((backup) => backup.policyClass === policyClass && isUsable(backup.standing))
  const bad = backups.filter(({ standing }) => !isUsable(standing))
  const decisions = new Map([
    ...bad.map((backup) => [backup, decideBad(backup, now)] as const),
    ...decideByTier(scheduled.tiers, usable('scheduled')),
    ...decideByAge(on_demand, usable('on_demand'), now, 'older'),
    ...decideByAge(safety, usable('safety'), now, 'all'),
  ])
  if (scheduled.tiers.length === 0)
    for (const backup of backups)
      if (backup.policyClass === 'scheduled')
        decisions.set(backup, keep('no_tiers', backup.label, 'The policy has no tiers, so nothing scheduled goes.'))
  return decisions
}

function isUsable(standing: Standing): boolean {
  return standing !== 'bad'
}

function decideByTier(tiers: readonly Tier[], backups: readonly RetentionInput[]): Map<RetentionInput, Decision> {
  const decisions = new Map<RetentionInput, Decision>()
  for (const [backup, placement] of cascade(tiers, backups))
    decisions.set(backup, decidePlaced(backup.label, placement))
  return decisions
}

function decidePlaced(label: string | null, { fate, tier, bucket }: Placement): Decision {
  const place = `${tier.label} backup of ${bucket}`
  switch (fate) {
    case 'seated':
      return keep('tier', tier.label, label === tier.label ? `It is the ${place}.` : `It becomes the ${place}.`)
    case 'beaten':
      return remove('bucket_taken', label, `Another one is the ${place}.`)
    case 'outnumbered':
      return remove('outnumbered', label, `Newer ones take all places that are ${tier.label} (${String(tier.keep)}).`)
  }
}

/** What outranks the policy; `decision` is null for what no rule was asked about: a run that has not ended. */
function guard(backup: RetentionInput, decision: Decision | null, isNewestGood: boolean): Decision {
  const label = decision?.label ?? backup.label
  if (backup.held) return keep('held', label, 'It is held: nothing deletes it until the hold is released.')
  if (backup.running || !decision) return keep('running', label, 'It is still being made.')
  if (decision.action === 'keep') return decision
  if (isNewestGood) {
    const what = backup.policyClass === 'scheduled' ? 'good scheduled backup' : 'good backup'
    return keep('newest_good', label, `It is the newest ${what} of its service instance, which no policy deletes.`)
  }
  if (backup.leased) return keep('leased', label, `It is being read, and goes afterwards. ${decision.reason}`)
  return decision
}
