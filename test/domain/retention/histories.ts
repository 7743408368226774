import type { RetentionPolicy } from '../../../shared/domain/retention/policy.ts'
import { planRetention, type RetentionInput } from '../../../shared/domain/retention/plan.ts'

/** A good scheduled backup of a local time like 2026-03-01 or 2026-03-01T14, in UTC. */
export function backupOf(time: string, given: Partial<RetentionInput> = {}): RetentionInput {
  const localHour = time.length === 10 ? `${time}T02` : time
  return {
    id: time,
    backupId: `backup of ${time}`,
    policyClass: 'scheduled',
    standing: 'good',
    label: null,
    at: new Date(`${localHour}:00:00Z`),
    bucketDate: time.slice(0, 10),
    localHour,
    siblingsGood: true,
    quarantined: false,
    held: false,
    leased: false,
    running: false,
    scheduledForDeletionAt: null,
    deleteRequestedAt: null,
    ...given,
  }
}

/** YYYY-MM-DD, `days` after 2026-01-01. */
export function dateAfter(days: number): string {
  return new Date(Date.UTC(2026, 0, 1 + days)).toISOString().slice(0, 10)
}

/** What a prune that follows the plan leaves. */
export function prune(policy: RetentionPolicy, backups: readonly RetentionInput[], now: Date): RetentionInput[] {
  const verdicts = planRetention(policy, backups, now)
  return backups.flatMap((backup, index) => {
    const verdict = verdicts[index]
    return verdict?.action === 'keep' ? [{ ...backup, label: verdict.label }] : []
  })
}

/** Prunes after each that is taken, as the service does. */
export function pruneEach(policy: RetentionPolicy, taken: readonly RetentionInput[]): RetentionInput[] {
  return taken.reduce<RetentionInput[]>((left, backup) => prune(policy, [...left, backup], backup.at), [])
}

/** How many carry each label, in the order of the tiers: 7/4/12. */
export function counts(policy: RetentionPolicy, backups: readonly RetentionInput[]): string {
  return policy.scheduled.tiers
    .map((tier) => backups.filter(({ label }) => label === tier.label).length.toString())
    .join('/')
}

export function spanDays(backups: readonly RetentionInput[]): number {
  const times = backups.map(({ at }) => at.getTime())
  return (Math.max(...times) - Math.min(...times)) / 86_400_000
}
