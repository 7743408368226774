import { addDays, keep, remove, showDays, type Decision } from './decision.ts'
import { splitByCount, type RetentionInput } from './input.ts'
import type { AgeRule } from './policy.ts'

/**
 * Younger than `keep_days` all stay; of the older, the `keep_newest` newest of those that are counted.
 * @param counted `older`: only the older ones; `all`: the younger ones take places too
 */
export function decideByAge(
  { keep_days, keep_newest }: AgeRule,
  backups: readonly RetentionInput[],
  now: Date,
  counted: 'older' | 'all',
): Map<RetentionInput, Decision> {
  const isOlder = ({ at }: RetentionInput) => now >= addDays(at, keep_days)
  const { leaving } = splitByCount(counted === 'all' ? backups : backups.filter(isOlder), keep_newest)
  const outnumbered = new Set(leaving)
  const age = showDays(keep_days)
  const decide = (backup: RetentionInput): Decision => {
    const { label, at } = backup
    if (!isOlder(backup)) return keep('recent', label, `It is younger than ${age}.`, addDays(at, keep_days))
    if (!outnumbered.has(backup))
      return keep('newest_of_older', label, `It is at least ${age} old, but one of the ${String(keep_newest)} newest.`)
    return remove('expired', label, `It is at least ${age} old, and not one of the ${String(keep_newest)} newest.`)
  }
  return new Map(backups.map((backup) => [backup, decide(backup)]))
}
