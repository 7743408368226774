import { describe, expect, test } from 'vitest'
import { planRetention, type RetentionInput } from '../../../shared/domain/retention/plan.ts'
import { DEFAULT_POLICY, type RetentionPolicy } from '../../../shared/domain/retention/policy.ts'
import { backupOf, dateAfter } from './histories.ts'

const NOW = new Date('2026-12-31T12:00:00Z')
const daysAgo = (days: number) => new Date(NOW.getTime() - days * 86_400_000)

/** One that was made so many days before NOW. */
const aged = (days: number, given: Partial<RetentionInput> = {}) =>
  backupOf(daysAgo(days).toISOString().slice(0, 10), { id: `${String(days)} days`, at: daysAgo(days), ...given })

/** The verdict on one beside a newer good one, which takes the shelter of the newest and, on its day, the daily place. */
function verdictOn(backup: RetentionInput, policy: RetentionPolicy = DEFAULT_POLICY) {
  const newest = backupOf(backup.bucketDate, { id: 'newest', at: NOW })
  const [verdict] = planRetention(policy, [backup, newest], NOW)
  return verdict
}

const loser = aged(0.1, { id: 'loser' })
const date = (days: number) => ({ scheduledForDeletionAt: daysAgo(days) })
const requested = (days: number) => ({ deleteRequestedAt: daysAgo(days) })
const QUARANTINED = { standing: 'bad', quarantined: true } as const

test.each<[string, Partial<RetentionInput>, 'keep' | 'delete', string]>([
  ['nothing else', {}, 'delete', 'bucket_taken'],
  ['a hold', { held: true }, 'keep', 'held'],
  ['a lease', { leased: true }, 'keep', 'leased'],
  ['a run', { running: true, standing: 'bad' }, 'keep', 'running'],
  ['its own date ahead', date(-1), 'keep', 'date_pending'],
  ['its own date now', date(0), 'delete', 'date_due'],
  ['a deletion asked for an hour ago', requested(1 / 24), 'keep', 'deletion_undoable'],
  ['a deletion asked for 24 hours ago', requested(1), 'delete', 'deletion_due'],
  ['a hold and a date that has come', { held: true, ...date(1) }, 'keep', 'held'],
  ['a hold and a deletion that is due', { held: true, ...requested(2) }, 'keep', 'held'],
  ['a hold, bad, and old', { held: true, standing: 'bad', at: daysAgo(99) }, 'keep', 'held'],
  ['a lease and a date that has come', { leased: true, ...date(1) }, 'keep', 'leased'],
  ['a lease and a deletion that is due', { leased: true, ...requested(2) }, 'keep', 'leased'],
  ['a run and a date that has come', { running: true, ...date(1) }, 'keep', 'running'],
  ['a deletion that is due and a date ahead', { ...requested(2), ...date(-9) }, 'delete', 'deletion_due'],
  ['a date that has come, undo not yet over', { ...requested(0.5), ...date(1) }, 'keep', 'deletion_undoable'],
  ['bad and 29 days old', { standing: 'bad', at: daysAgo(29) }, 'keep', 'bad_recent'],
  ['bad and 30 days old', { standing: 'bad', at: daysAgo(30) }, 'delete', 'bad_expired'],
  ['corrupt and 99 days old', { ...QUARANTINED, at: daysAgo(99) }, 'keep', 'quarantined'],
  ['corrupt, and its own date has come', { ...QUARANTINED, ...date(1) }, 'keep', 'quarantined'],
  [
    'corrupt, and a deletion asked for an hour ago',
    { ...QUARANTINED, ...requested(1 / 24) },
    'keep',
    'deletion_undoable',
  ],
  ['corrupt, and a deletion asked for 24 hours ago', { ...QUARANTINED, ...requested(1) }, 'delete', 'deletion_due'],
  [
    'corrupt, temporary, and its date has come',
    { ...QUARANTINED, policyClass: 'temporary', ...date(1) },
    'keep',
    'quarantined',
  ],
  ['bad, old, and its own date ahead', { standing: 'bad', at: daysAgo(99), ...date(-1) }, 'keep', 'date_pending'],
])('a scheduled one that policy would delete, with %s', (_, given, action, rule) => {
  expect(verdictOn({ ...loser, ...given })).toMatchObject({ id: 'loser', action, rule })
})

test.each<[string, Partial<RetentionInput>, 'keep' | 'delete', string]>([
  ['on-demand, 29 days', { policyClass: 'on_demand', at: daysAgo(29) }, 'keep', 'recent'],
  ['on-demand, 30 days', { policyClass: 'on_demand', at: daysAgo(30) }, 'keep', 'newest_of_older'],
  ['on-demand, bad, 29 days', { policyClass: 'on_demand', standing: 'bad', at: daysAgo(29) }, 'keep', 'bad_recent'],
  ['on-demand, bad, 30 days', { policyClass: 'on_demand', standing: 'bad', at: daysAgo(30) }, 'delete', 'bad_expired'],
  ['on-demand with a date', { policyClass: 'on_demand', ...date(-1) }, 'keep', 'date_pending'],
  ['on-demand with a past date', { policyClass: 'on_demand', ...date(1) }, 'delete', 'date_due'],
  ['safety, 6 days', { policyClass: 'safety', at: daysAgo(6) }, 'keep', 'recent'],
  ['safety, 7 days, the only one', { policyClass: 'safety', at: daysAgo(7) }, 'keep', 'newest_of_older'],
  ['safety with a past date', { policyClass: 'safety', ...date(1) }, 'delete', 'date_due'],
  ['temporary, date ahead', { policyClass: 'temporary', ...date(-1) }, 'keep', 'date_pending'],
  ['temporary, date now', { policyClass: 'temporary', ...date(0) }, 'delete', 'date_due'],
  ['temporary, bad, date ahead', { policyClass: 'temporary', standing: 'bad', ...date(-1) }, 'keep', 'date_pending'],
  ['temporary without a date', { policyClass: 'temporary', at: daysAgo(999) }, 'keep', 'temporary_without_date'],
  ['temporary, held, date past', { policyClass: 'temporary', held: true, ...date(1) }, 'keep', 'held'],
])('%s', (_, given, action, rule) => {
  expect(verdictOn(aged(1, given))).toMatchObject({ action, rule })
})

test('until is the date at which it goes at the earliest, and null where only counts decide', () => {
  const until = (given: Partial<RetentionInput>) => verdictOn(aged(2, given))?.until
  expect(until({ policyClass: 'on_demand' })).toEqual(daysAgo(2 - 30))
  expect(until({ policyClass: 'safety' })).toEqual(daysAgo(2 - 7))
  expect(until({ standing: 'bad' })).toEqual(daysAgo(2 - 30))
  expect(until(date(-5))).toEqual(daysAgo(-5))
  expect(until(requested(0.25))).toEqual(daysAgo(0.25 - 1))
  expect(until({ label: 'weekly' })).toBeNull()
  expect(until({ held: true, ...date(-5) })).toBeNull()
})

test('every verdict says why in a sentence, with the place or the date in it', () => {
  const reason = (given: Partial<RetentionInput>) => verdictOn({ ...loser, ...given })?.reason
  expect(reason({})).toBe('Another one is the daily backup of 2026-12-31.')
  expect(reason({ label: 'weekly' })).toBe('It is the weekly backup of 2026-W53.')
  expect(reason({ leased: true })).toBe(
    'It is being read, and goes afterwards. Another one is the daily backup of 2026-12-31.',
  )
  expect(reason(date(1))).toBe('Its own deletion date, 2026-12-30T12:00:00.000Z, has come.')
  expect(reason({ standing: 'bad', at: daysAgo(31) })).toBe('It is no usable backup and at least 30 days old.')
})

test('no safety backup takes the place of the newest good one, however new; its own rule keeps it', () => {
  const policy: RetentionPolicy = { ...DEFAULT_POLICY, on_demand: { keep_days: 1, keep_newest: 0 } }
  const backups = [aged(60, { policyClass: 'on_demand' }), aged(50, { policyClass: 'on_demand' })]
  const verdicts = planRetention(policy, [...backups, aged(0, { policyClass: 'safety' })], NOW)
  expect(verdicts.map(({ action, rule }) => [action, rule])).toEqual([
    ['delete', 'expired'],
    ['keep', 'newest_good'],
    ['keep', 'recent'],
  ])
})

describe('on demand', () => {
  const made = (days: number, given: Partial<RetentionInput> = {}) => aged(days, { policyClass: 'on_demand', ...given })
  const kept = (backups: RetentionInput[]) =>
    planRetention(DEFAULT_POLICY, backups, NOW).flatMap(({ id, action }) => (action === 'keep' ? [id] : []))

  test('of 10 over 60 days all younger than 30 days and the 3 newest of the older stay', () => {
    expect(kept([60, 54, 48, 42, 36, 30, 24, 18, 12, 6].map((days) => made(days)))).toEqual(
      [42, 36, 30, 24, 18, 12, 6].map((days) => `${String(days)} days`),
    )
  })

  test('bad and degraded ones take no place of the 3', () => {
    const worse = [
      made(31, { standing: 'degraded' }),
      made(32, { standing: 'degraded' }),
      made(33, { standing: 'bad' }),
    ]
    expect(kept([...worse, made(40), made(41), made(42), made(43)])).toEqual(
      [31, 32, 40, 41, 42].map((days) => `${String(days)} days`),
    )
  })

  test('100 of them evict no scheduled one', () => {
    const scheduled = Array.from({ length: 7 }, (_, index) => backupOf(dateAfter(357 + index), { label: 'daily' }))
    const flood = Array.from({ length: 100 }, (_, index) => made(index / 10, { id: `flood ${String(index)}` }))
    expect(kept([...scheduled, ...flood])).toEqual([...scheduled, ...flood].map(({ id }) => id))
  })
})

test('of safety backups all younger than 7 days stay, and of the older none while there is a newer one', () => {
  const safety = [9, 8, 1, 0.5].map((days) => aged(days, { policyClass: 'safety' }))
  const actions = (backups: RetentionInput[]) => planRetention(DEFAULT_POLICY, backups, NOW).map(({ action }) => action)
  expect(actions(safety)).toEqual(['delete', 'delete', 'keep', 'keep'])
  expect(actions(safety.slice(0, 2))).toEqual(['delete', 'keep'])
})

describe('the newest good one', () => {
  const NOTHING_STAYS: RetentionPolicy = { ...DEFAULT_POLICY, on_demand: { keep_days: 1, keep_newest: 0 } }
  const old = (days: number, given: Partial<RetentionInput> = {}) => aged(days, { policyClass: 'on_demand', ...given })
  const outcome = (backups: RetentionInput[]) =>
    planRetention(NOTHING_STAYS, backups, NOW).map(({ action, rule }) => `${action} ${rule}`)

  test('never goes by policy', () => {
    expect(outcome([old(300), old(200)])).toEqual(['delete expired', 'keep newest_good'])
  })

  test('is not a newer degraded, bad, temporary, dated, or running one, nor one whose deletion was asked for', () => {
    const newer = [
      old(5, { standing: 'degraded' }),
      old(4, { standing: 'bad' }),
      old(3, { policyClass: 'temporary' }),
      old(2, date(-9)),
      old(1, { running: true }),
      old(0, requested(0.1)),
    ]
    expect(outcome([old(200), ...newer])[0]).toBe('keep newest_good')
  })

  test('is also sheltered among the scheduled ones, where an earlier one of the day has all its siblings', () => {
    const late = backupOf('2026-12-30T20', { siblingsGood: false })
    expect(outcome([backupOf('2026-12-30T02'), late, old(0)])).toEqual(['keep tier', 'keep newest_good', 'keep recent'])
  })

  test('goes when a person asked for it', () => {
    expect(outcome([old(200, requested(1))])).toEqual(['delete deletion_due'])
  })
})

describe('total', () => {
  test('no backups, no verdicts', () => {
    expect(planRetention(DEFAULT_POLICY, [], NOW)).toEqual([])
  })

  test('a clock before every backup deletes nothing', () => {
    const backups = [60, 50, 40].map((days) => aged(days, { policyClass: 'on_demand' }))
    const verdicts = planRetention(DEFAULT_POLICY, backups, new Date('2020-01-01'))
    expect(verdicts.map(({ action }) => action)).toEqual(['keep', 'keep', 'keep'])
  })

  test('numbers and dates that are none delete nothing and throw nothing', () => {
    const nothing = { keep_days: NaN, keep_newest: NaN }
    const policy: RetentionPolicy = {
      scheduled: { tiers: [{ label: 'daily', per: 'week', keep: NaN }] },
      on_demand: nothing,
      safety: nothing,
    }
    const never = new Date(NaN)
    const backups = [
      aged(400),
      aged(300),
      aged(200, { policyClass: 'on_demand' }),
      aged(99, { policyClass: 'safety' }),
      aged(98, { scheduledForDeletionAt: never }),
      aged(97, { deleteRequestedAt: never }),
      aged(96, { standing: 'bad', at: never }),
      aged(95, { bucketDate: '' }),
    ]
    expect(new Set(planRetention(policy, backups, NOW).map(({ action }) => action))).toEqual(new Set(['keep']))
  })
})
