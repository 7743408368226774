/** The stable names of why a backup stays or goes. */
export type RetentionRule =
  | 'running'
  | 'quarantined'
  | 'held'
  | 'leased'
  | 'deletion_undoable'
  | 'deletion_due'
  | 'date_pending'
  | 'date_due'
  | 'temporary_without_date'
  | 'newest_good'
  | 'no_tiers'
  | 'tier'
  | 'bucket_taken'
  | 'outnumbered'
  | 'recent'
  | 'newest_of_older'
  | 'expired'
  | 'bad_recent'
  | 'bad_expired'
  | 'unverified'

export interface Decision {
  action: 'keep' | 'delete'
  /** The label that it has after this plan. */
  label: string | null
  /** A sentence for people. */
  reason: string
  rule: RetentionRule
  /** When it goes at the earliest, where a date is known. */
  until: Date | null
}

const DAY_MS = 86_400_000

export function addDays(date: Date, days: number): Date {
  return new Date(date.getTime() + days * DAY_MS)
}

export function showDays(days: number): string {
  return days === 1 ? '1 day' : `${String(days)} days`
}

export function keep(rule: RetentionRule, label: string | null, reason: string, until: Date | null = null): Decision {
  return { action: 'keep', label, reason, rule, until }
}

export function remove(rule: RetentionRule, label: string | null, reason: string): Decision {
  return { action: 'delete', label, reason, rule, until: null }
}
