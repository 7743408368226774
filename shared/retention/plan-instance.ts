import type { RetentionInput } from '../domain/retention/input.ts'
import { mayBeHeir, newestFirst } from '../domain/retention/input.ts'
import { planRetention, type RetentionVerdict } from '../domain/retention/plan.ts'
import type { RetentionPolicy } from '../domain/retention/policy.ts'

/** What is known of a backup beyond what the planner asks for. */
export interface KeptBackup extends RetentionInput {
  /** A person insisted on deleting it, with a reason. */
  deleteForced: boolean
  /** Since when the store is known to lack or to have spoiled it; null for one that never was so. */
  badSince: Date | null
  /** Its manifest does not carry this Coffer's signature, and nobody has accepted it yet. */
  unverified: boolean
}

const GRACE_MS = 30 * 86_400_000

/**
 * The plan of one service instance, in the order of `backups`: the planner's verdicts, and two shelters on top of them. Unless forced, the
 * newest good one stays whatever date it has; and what turned out bad late in its life stays 30 days from then, since what is missing
 * (a mount, a bucket) may come back, and what is damaged may be looked into. What is unverified stays until a person has judged it.
 */
export function planInstance(
  policy: RetentionPolicy,
  backups: readonly KeptBackup[],
  now: Date,
): (RetentionVerdict & { backup: KeptBackup })[] {
  const newest = newestGoodOf(backups)
  const verdicts = planRetention(policy, backups, now)
  return backups.flatMap((backup, index) => {
    const verdict = verdicts[index]
    return verdict ? [{ ...shelter(verdict, backup, backup === newest, now), backup }] : []
  })
}

/** The newest good one, scheduled or on demand; undefined where there is none. Ended runs only. */
export const newestGoodOf = <Backup extends KeptBackup>(backups: readonly Backup[]): Backup | undefined =>
  backups.filter((backup) => backup.standing === 'good' && mayBeHeir(backup) && !backup.running).sort(newestFirst)[0]

function shelter(verdict: RetentionVerdict, backup: KeptBackup, isNewestGood: boolean, now: Date): RetentionVerdict {
  if (verdict.action === 'keep') return verdict
  if (isNewestGood && !backup.deleteForced) {
    const reason = `It is the newest good backup of its service instance, and stays until there is a newer one. ${verdict.reason}`
    return { ...verdict, action: 'keep', rule: 'newest_good', reason }
  }
  if (verdict.rule === 'bad_expired' && backup.unverified) {
    const reason =
      'Nobody has said yet whether its manifest, which does not carry the signature of this Coffer, is genuine.'
    return { ...verdict, action: 'keep', rule: 'unverified', reason }
  }
  if (verdict.rule !== 'bad_expired' || backup.badSince === null) return verdict
  const until = new Date(backup.badSince.getTime() + GRACE_MS)
  if (now >= until) return verdict
  return { ...verdict, action: 'keep', rule: 'bad_recent', reason: 'It turned out bad less than 30 days ago.', until }
}
