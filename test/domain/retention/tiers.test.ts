import { describe, expect, test } from 'vitest'
import { planRetention, type RetentionInput } from '../../../shared/domain/retention/plan.ts'
import { DEFAULT_POLICY, type RetentionPolicy } from '../../../shared/domain/retention/policy.ts'
import { backupOf, counts, dateAfter, prune, pruneEach } from './histories.ts'

const tiers = (...list: RetentionPolicy['scheduled']['tiers']): RetentionPolicy => ({
  ...DEFAULT_POLICY,
  scheduled: { tiers: list },
})
const SMALL = tiers(
  { label: 'daily', per: 'day', keep: 2 },
  { label: 'weekly', per: 'week', keep: 2 },
  { label: 'monthly', per: 'month', keep: 2 },
)

const daily = (date: string, given: Partial<RetentionInput> = {}) => backupOf(date, { label: 'daily', ...given })
const weekly = (date: string, given: Partial<RetentionInput> = {}) => backupOf(date, { label: 'weekly', ...given })
const monthly = (date: string, given: Partial<RetentionInput> = {}) => backupOf(date, { label: 'monthly', ...given })

/** Each as `date: label it ends with`, or `date: goes (rule)`, in the order given. */
function outcome(policy: RetentionPolicy, backups: readonly RetentionInput[]): string[] {
  return planRetention(policy, backups, new Date('2026-12-31T12:00:00Z')).map(({ id, action, label, rule }) =>
    action === 'keep' ? `${id}: ${label ?? 'no label'}` : `${id}: goes (${rule})`,
  )
}

const degraded = { standing: 'degraded' } as const
const alone = { siblingsGood: false }

// 2026-03-01 is a Sunday: W09 ends with it, W10 begins on the 2nd.
test.each<[string, RetentionInput[], string[]]>([
  ['a new one is daily', [backupOf('2026-03-01')], ['2026-03-01: daily']],
  [
    'one daily too many: the oldest becomes weekly',
    [daily('2026-03-02'), daily('2026-03-03'), backupOf('2026-03-04')],
    ['2026-03-02: weekly', '2026-03-03: daily', '2026-03-04: daily'],
  ],
  [
    'one daily too many, and its week has a weekly: the oldest goes',
    [weekly('2026-03-02'), daily('2026-03-03'), daily('2026-03-04'), backupOf('2026-03-05')],
    ['2026-03-02: weekly', '2026-03-03: goes (bucket_taken)', '2026-03-04: daily', '2026-03-05: daily'],
  ],
  [
    'one weekly too many: the oldest becomes monthly',
    [weekly('2026-02-23'), weekly('2026-03-02'), daily('2026-03-09'), daily('2026-03-10'), backupOf('2026-03-11')],
    ['2026-02-23: monthly', '2026-03-02: weekly', '2026-03-09: weekly', '2026-03-10: daily', '2026-03-11: daily'],
  ],
  [
    'one weekly too many, and its month has a monthly: the oldest goes',
    [monthly('2026-02-02'), weekly('2026-02-09'), weekly('2026-02-16'), weekly('2026-02-23')],
    ['2026-02-02: monthly', '2026-02-09: goes (bucket_taken)', '2026-02-16: weekly', '2026-02-23: weekly'],
  ],
  [
    'one monthly too many: the oldest goes',
    [monthly('2026-01-05'), monthly('2026-02-02'), monthly('2026-03-02')],
    ['2026-01-05: goes (outnumbered)', '2026-02-02: monthly', '2026-03-02: monthly'],
  ],
  [
    'two on one day: the later is the daily one',
    [daily('2026-03-02T01'), backupOf('2026-03-02T13')],
    ['2026-03-02T01: goes (bucket_taken)', '2026-03-02T13: daily'],
  ],
  [
    'two on one day, the later without its siblings: the one with all siblings is the daily one',
    [daily('2026-03-02T01'), daily('2026-03-02T13', alone), backupOf('2026-03-03')],
    ['2026-03-02T01: daily', '2026-03-02T13: goes (bucket_taken)', '2026-03-03: daily'],
  ],
  [
    'a weekly without its siblings gives way to one of the same week that has them',
    [weekly('2026-03-02', alone), daily('2026-03-03'), daily('2026-03-04'), backupOf('2026-03-05')],
    ['2026-03-02: goes (bucket_taken)', '2026-03-03: weekly', '2026-03-04: daily', '2026-03-05: daily'],
  ],
  [
    'a degraded one is the daily one where there is no good one',
    [daily('2026-03-01'), backupOf('2026-03-02', degraded)],
    ['2026-03-01: daily', '2026-03-02: daily'],
  ],
  [
    'a good one takes the day from a degraded one, also from a later one',
    [daily('2026-03-02T01', alone), backupOf('2026-03-02T13', degraded)],
    ['2026-03-02T01: daily', '2026-03-02T13: goes (bucket_taken)'],
  ],
  [
    'degraded ones push out degraded ones, never a good one',
    [
      daily('2026-03-02'),
      daily('2026-03-03', degraded),
      daily('2026-03-04', degraded),
      backupOf('2026-03-05', degraded),
    ],
    ['2026-03-02: daily', '2026-03-03: weekly', '2026-03-04: daily', '2026-03-05: daily'],
  ],
  [
    'a good one takes the week from a degraded one',
    [weekly('2026-03-02', degraded), daily('2026-03-03'), daily('2026-03-04'), backupOf('2026-03-05')],
    ['2026-03-02: goes (bucket_taken)', '2026-03-03: weekly', '2026-03-04: daily', '2026-03-05: daily'],
  ],
  [
    'a bad one takes no place',
    [daily('2026-12-28'), daily('2026-12-29'), backupOf('2026-12-30', { standing: 'bad' })],
    ['2026-12-28: daily', '2026-12-29: daily', '2026-12-30: no label'],
  ],
  [
    'a held one stays where it is, counts there, and is not moved',
    [daily('2026-03-02', { held: true }), daily('2026-03-03'), backupOf('2026-03-04')],
    ['2026-03-02: daily', '2026-03-03: daily', '2026-03-04: daily'],
  ],
  [
    'one that is being read waits where it is',
    [daily('2026-03-02', { leased: true }), daily('2026-03-03'), backupOf('2026-03-04')],
    ['2026-03-02: daily', '2026-03-03: daily', '2026-03-04: daily'],
  ],
  [
    'what has lost its hold goes on',
    [daily('2026-03-02'), daily('2026-03-03'), daily('2026-03-04')],
    ['2026-03-02: weekly', '2026-03-03: daily', '2026-03-04: daily'],
  ],
  [
    'one with its own date takes no place',
    [
      daily('2026-12-28'),
      daily('2026-12-29'),
      backupOf('2026-12-30', { scheduledForDeletionAt: new Date('2027-01-30') }),
    ],
    ['2026-12-28: daily', '2026-12-29: daily', '2026-12-30: no label'],
  ],
  [
    'a label that the policy does not know starts again in the first tier',
    [backupOf('2026-03-02', { label: 'nightly' }), daily('2026-03-03'), daily('2026-03-04')],
    ['2026-03-02: weekly', '2026-03-03: daily', '2026-03-04: daily'],
  ],
  [
    'many at once fall through as far as there is room',
    [0, 7, 14, 21, 28, 35, 42, 49, 50].map((days) => backupOf(dateAfter(days))),
    [
      '2026-01-01: monthly',
      '2026-01-08: goes (bucket_taken)',
      '2026-01-15: goes (bucket_taken)',
      '2026-01-22: goes (bucket_taken)',
      '2026-01-29: goes (bucket_taken)',
      '2026-02-05: weekly',
      '2026-02-12: weekly',
      '2026-02-19: daily',
      '2026-02-20: daily',
    ],
  ],
])('%s', (_, backups, expected) => {
  expect(outcome(SMALL, backups)).toEqual(expected)
  expect(outcome(SMALL, backups.toReversed())).toEqual(expected.toReversed())
})

describe('tiers are data', () => {
  const hours = (count: number, step: number) =>
    Array.from({ length: count }, (_, index) => {
      const time = new Date(Date.UTC(2026, 0, 1, index * step)).toISOString()
      return backupOf(time.slice(0, 13))
    })

  test('four runs a day still give seven days, four weeks and twelve months', () => {
    const left = pruneEach(DEFAULT_POLICY, hours(4 * 500, 6))
    expect(counts(DEFAULT_POLICY, left)).toBe('7/4/12')
    const days = left.filter(({ label }) => label === 'daily').map(({ id }) => id)
    expect(days).toEqual([9, 10, 11, 12, 13, 14, 15].map((day) => `2027-05-${String(day).padStart(2, '0')}T18`))
  })

  test('hourly runs fill hours, days, weeks, months and years', () => {
    const policy = tiers({ label: 'hourly', per: 'hour', keep: 24 }, ...DEFAULT_POLICY.scheduled.tiers, {
      label: 'yearly',
      per: 'year',
      keep: 2,
    })
    const left = prune(policy, hours(24 * 365 * 5, 1), new Date('2031-01-01'))
    expect(counts(policy, left)).toBe('24/7/4/12/2')
    // 1 January 2028 lies in a week whose weekly one is of December 2027.
    expect(left.filter(({ label }) => label === 'yearly').map(({ id }) => id)).toEqual([
      '2028-01-03T00',
      '2029-01-01T00',
    ])
  })

  test('one tier alone keeps its count', () => {
    const policy = tiers({ label: 'yearly', per: 'year', keep: 3 })
    expect(counts(policy, pruneEach(policy, hours(2000, 24)))).toBe('3')
  })

  test('no tier deletes nothing that is scheduled, also nothing bad', () => {
    const backups = hours(100, 24).map((backup, index) => ({
      ...backup,
      standing: (['good', 'degraded', 'bad'] as const)[index % 3] ?? 'bad',
    }))
    const verdicts = planRetention(tiers(), backups, new Date('2036-01-01'))
    expect(new Set(verdicts.map(({ action, rule }) => `${action} ${rule}`))).toEqual(new Set(['keep no_tiers']))
  })
})

test('400 taken dailies with an outage of 45 days in the middle end with 7/4/12, and the outage took none', () => {
  const before = pruneEach(
    DEFAULT_POLICY,
    Array.from({ length: 200 }, (_, index) => backupOf(dateAfter(index))),
  )
  const lateStart = new Date(`${dateAfter(245)}T02:00:00Z`)
  expect(prune(DEFAULT_POLICY, before, lateStart)).toEqual(before)
  const after = Array.from({ length: 200 }, (_, index) => backupOf(dateAfter(245 + index)))
  const left = after.reduce((kept, backup) => prune(DEFAULT_POLICY, [...kept, backup], backup.at), before)
  expect(counts(DEFAULT_POLICY, left)).toBe('7/4/12')
  expect(left).toHaveLength(23)
})
