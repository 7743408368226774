import { Cron } from 'croner'
import { expect, test } from 'vitest'
import { DEFAULT_POLICY } from '../../../shared/domain/retention/policy.ts'
import type { RetentionInput } from '../../../shared/domain/retention/plan.ts'
import { backupOf, counts, prune, spanDays } from './histories.ts'

const YEARS = 3
const FULL_AFTER_DAYS = 430

/** A daily backup at 02:30 local, with the dates that the zone's clocks show. */
function takenDaily(timezone: string, days: number): RetentionInput[] {
  const clock = new Intl.DateTimeFormat('sv-SE', { timeZone: timezone, dateStyle: 'short', timeStyle: 'short' })
  const due = new Cron('30 2 * * *', { timezone, paused: true }).nextRuns(days, new Date('2024-01-01T12:00:00Z'))
  return due.map((at) => {
    const localHour = clock.format(at).replace(' ', 'T').slice(0, 13)
    return backupOf(localHour, { id: at.toISOString(), at })
  })
}

test.each(['Europe/Zurich', 'America/New_York', 'Africa/Cairo', 'Australia/Lord_Howe', 'America/Santiago'])(
  'three years in %s: from day 430 on exactly 7/4/12 every day, over at least 364 days, labels moving only forward',
  (timezone) => {
    const rank = [null, ...DEFAULT_POLICY.scheduled.tiers.map(({ label }) => label)]
    const taken = takenDaily(timezone, YEARS * 365)
    expect(new Set(taken.map(({ bucketDate }) => bucketDate)).size).toBe(YEARS * 365)
    const seen = new Set<string>()
    let left: RetentionInput[] = []
    let shortestSpan = Infinity
    for (const [day, backup] of taken.entries()) {
      const before = new Map(left.map(({ id, label }) => [id, rank.indexOf(label)]))
      left = prune(DEFAULT_POLICY, [...left, backup], backup.at)
      expect(left.filter(({ id, label }) => rank.indexOf(label) < (before.get(id) ?? 0))).toEqual([])
      expect(left.at(-1)).toMatchObject({ id: backup.id, label: 'daily' })
      if (day < FULL_AFTER_DAYS) continue
      seen.add(counts(DEFAULT_POLICY, left))
      shortestSpan = Math.min(shortestSpan, spanDays(left))
    }
    expect([...seen]).toEqual(['7/4/12'])
    expect(shortestSpan).toBeGreaterThanOrEqual(364)
  },
)

test('a whole history planned at once ends like one that was pruned every day', () => {
  const taken = takenDaily('Europe/Zurich', YEARS * 365)
  const daily = taken.reduce<RetentionInput[]>((left, next) => prune(DEFAULT_POLICY, [...left, next], next.at), [])
  expect(prune(DEFAULT_POLICY, taken, new Date('2027-01-01'))).toEqual(daily)
})
