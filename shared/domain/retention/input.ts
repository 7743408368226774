import type { Standing } from '../standing.ts'
import type { PolicyClass } from '../states.ts'

/** What the planner knows of one service-instance backup. */
export interface RetentionInput {
  id: string
  backupId: string
  policyClass: PolicyClass
  standing: Standing
  /** The tier that it was in after the last plan; null for a new one. */
  label: string | null
  /** `due_at` of a scheduled one, `created_at` of others. */
  at: Date
  /** YYYY-MM-DD, local, in the zone that was valid at `at`. */
  bucketDate: string
  /** YYYY-MM-DDTHH, local. */
  localHour: string
  /** All service instances of the same backup are good: a restore point of the whole environment. */
  siblingsGood: boolean
  /** What is stored of it is not what was sealed: it stays for people to look into. */
  quarantined: boolean
  held: boolean
  leased: boolean
  running: boolean
  scheduledForDeletionAt: Date | null
  deleteRequestedAt: Date | null
}

/** Of a class that others may go for: a temporary one goes by its date, and a safety one is what somebody was about to replace. */
export const mayBeHeir = ({ policyClass }: Pick<RetentionInput, 'policyClass'>): boolean =>
  policyClass === 'scheduled' || policyClass === 'on_demand'

export function newestFirst(a: RetentionInput, b: RetentionInput): number {
  return b.at.getTime() - a.at.getTime() || compareText(b.id, a.id)
}

function compareText(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}

/** A hold or a reader: it stays whatever is decided, so it also stays where it is. */
export function isPinned(backup: RetentionInput): boolean {
  return backup.held || backup.leased
}

/**
 * The `keep` newest stay. A good one leaves only when that many newer good ones stay; a degraded one gives way to all that are newer.
 * A count that is no number lets nothing leave.
 */
export function splitByCount(
  backups: Iterable<RetentionInput>,
  keep: number,
): { staying: RetentionInput[]; leaving: RetentionInput[] } {
  const staying: RetentionInput[] = []
  const leaving: RetentionInput[] = []
  let good = 0
  for (const backup of [...backups].sort(newestFirst)) {
    const newer = backup.standing === 'good' ? good : staying.length
    if (newer >= keep) leaving.push(backup)
    else {
      staying.push(backup)
      if (backup.standing === 'good') good += 1
    }
  }
  return { staying, leaving }
}
