import { expect, test } from 'vitest'
import { localDate, localTime } from '../../shared/domain/local-time.ts'
import type { ScheduleRule } from '../../shared/domain/schedule-rule.ts'
import { nextRing } from '../../shared/schedules/bells.ts'
import { cronProblem, dueSince, nextDue, timetableOf, type Timetable } from '../../shared/schedules/due-times.ts'
import { distinctZones } from './zones.ts'

const DAY_MS = 86_400_000
const START = Date.UTC(2026, 0, 1, 12)
const DAYS = Array.from({ length: 366 }, (_, day) => new Date(START + day * DAY_MS))
const END = new Date(START + 365 * DAY_MS)

function dueBetween(timetable: Timetable, start: Date, end: Date): Date[] {
  const found: Date[] = []
  for (let due = nextDue(timetable, start); due && due <= end; due = nextDue(timetable, due)) found.push(due)
  return found
}

const DISTINCT = distinctZones(DAYS)

test.each(['00:00', '00:30', '01:00', '02:00', '02:30'])(
  'a daily schedule at %s comes due once on each local date of a year, in every zone that the runtime knows',
  (time) => {
    const [hour, minute] = time.split(':').map(Number)
    for (const timezone of DISTINCT) {
      const dates = dueBetween({ pattern: `${minute} ${hour} * * *`, timezone }, new Date(START), END).map((due) =>
        localDate(due, timezone),
      )
      const first = Date.parse(dates[0] ?? '')
      const expected = Array.from({ length: 365 }, (_, day) =>
        new Date(first + day * DAY_MS).toISOString().slice(0, 10),
      )
      expect(dates, timezone).toEqual(expected)
    }
  },
)

test('every zone of the runtime is stood for by one whose clock agrees with it all year, in more than forty groups', () => {
  expect(DISTINCT.length).toBeGreaterThan(40)
  expect(DISTINCT.length).toBeLessThan(150)
})

test.each([
  ['Europe/Zurich', '2026-03-29', ['03:00', '02:30']],
  ['America/New_York', '2026-03-08', ['03:00', '02:30']],
  ['Africa/Cairo', '2026-04-24', ['01:00', '00:30']],
] as const)('%s: what %s skips comes at the end of the gap: %j', (timezone, date, [atGap, skipped]) => {
  const [hour, minute] = skipped.split(':').map(Number)
  const due = nextDue({ pattern: `${minute} ${hour} * * *`, timezone }, new Date(Date.parse(date) - DAY_MS / 2))
  expect(due && localTime(due, timezone)).toBe(`${date}T${atGap}`)
})

test('a list of hours is one occurrence each, also on DST days; an interval follows the hours as they pass', () => {
  const twice = { pattern: '30 2,14 * * *', timezone: 'Europe/Zurich' }
  const halfHours = { pattern: '*/30 * * * *', timezone: 'Europe/Zurich' }
  const count = (timetable: Timetable, date: string) => {
    const all = dueBetween(timetable, new Date(Date.parse(date) - DAY_MS), new Date(Date.parse(date) + 2 * DAY_MS))
    return all.filter((due) => localDate(due, 'Europe/Zurich') === date).length
  }
  expect(['2026-03-28', '2026-03-29', '2026-10-25'].map((date) => count(twice, date))).toEqual([2, 2, 2])
  expect(['2026-03-28', '2026-03-29', '2026-10-25'].map((date) => count(halfHours, date))).toEqual([48, 46, 50])
})

test.each([
  ['30 2 * * *', 'Europe/Zurich', '2026-03-27T12:00:00Z', '2026-03-31T12:00:00Z'],
  ['30 2 * * *', 'Europe/Zurich', '2026-10-23T12:00:00Z', '2026-10-27T12:00:00Z'],
  ['*/15 * * * *', 'Australia/Lord_Howe', '2026-04-03T12:00:00Z', '2026-04-05T12:00:00Z'],
  ['0 0 * * *', 'Africa/Cairo', '2026-04-20T12:00:00Z', '2026-04-28T12:00:00Z'],
  ['0 5 1,15 * *', 'UTC', '2026-01-01T12:00:00Z', '2026-12-31T12:00:00Z'],
])('what has come due by %s in %s since %s is what came next, one after the other', (pattern, timezone, start, end) => {
  const forward = dueBetween({ pattern, timezone }, new Date(start), new Date(end))
  const { newest, missed } = dueSince({ pattern, timezone }, forward[0] ?? new Date(0), new Date(end))
  expect([newest, ...missed].reverse()).toEqual(forward)
  expect(forward.length).toBeGreaterThan(2)
})

test.each([
  ['a millisecond before', -1, 0],
  ['exactly at', 0, 1],
  ['a millisecond after', 1, 1],
])('%s a due time, it has %i ms to go or gone', (_, offsetMs, isDue) => {
  const timetable = { pattern: '0 2 * * *', timezone: 'UTC' }
  const now = new Date(Date.UTC(2026, 0, 5, 2) + offsetMs)
  const { newest } = dueSince(timetable, new Date('2026-01-04T02:00:00Z'), now)
  expect(newest.toISOString()).toBe(isDue ? '2026-01-05T02:00:00.000Z' : '2026-01-04T02:00:00.000Z')
})

test('of a very long outage the thousand newest missed ones are told, in no time', () => {
  const { newest, missed } = dueSince(
    { pattern: '* * * * *', timezone: 'Europe/Zurich' },
    new Date('2016-01-01T00:00:00Z'),
    new Date('2026-01-01T00:00:30Z'),
  )
  expect(newest.toISOString()).toBe('2026-01-01T00:00:00.000Z')
  expect(missed).toHaveLength(1_000)
  expect(missed.at(-1)?.toISOString()).toBe('2025-12-31T07:20:00.000Z')
})

test('what was due under an older rule is still decided, with what the rule says now', () => {
  const old = new Date('2026-01-05T01:23:00Z')
  const timetable = { pattern: '0 4 * * *', timezone: 'UTC' }
  expect(dueSince(timetable, old, new Date('2026-01-05T03:00:00Z'))).toEqual({ newest: old, missed: [] })
  expect(dueSince(timetable, old, new Date('2026-01-05T05:00:00Z'))).toEqual({
    newest: new Date('2026-01-05T04:00:00Z'),
    missed: [old],
  })
})

test('windows spread environments over their minutes, each always at its own', () => {
  const rule: ScheduleRule = { name: 'nightly', kind: 'daily', from: '01:00', until: '05:00' }
  const times = Array.from({ length: 2_000 }, (_, n) => {
    const environment = { id: `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`, timezone: 'Europe/Zurich' }
    expect(timetableOf(rule, environment)).toEqual(timetableOf(rule, environment))
    const due = nextDue(timetableOf(rule, environment), new Date('2026-06-01T12:00:00Z'))
    return due ? localTime(due, 'Europe/Zurich').slice(11) : ''
  })
  expect(times.every((time) => time >= '01:00' && time < '05:00')).toBe(true)
  expect(new Set(times).size).toBeGreaterThan(230)
  const busiest = Math.max(
    ...Map.groupBy(times, (time) => time)
      .values()
      .map((group) => group.length),
  )
  expect(busiest).toBeLessThan(30)
})

test('a weekly window that passes midnight belongs to the day on which it begins', () => {
  const rule: ScheduleRule = { name: 'weekly', kind: 'weekly', day: 'saturday', from: '23:00', until: '01:00' }
  const days = new Set<string>()
  for (let n = 0; n < 200; n++) {
    const due = nextDue(timetableOf(rule, { id: String(n), timezone: 'UTC' }), new Date('2026-06-01T12:00:00Z'))
    const time = due?.toISOString() ?? ''
    expect(time >= '2026-06-06T23:00' && time < '2026-06-07T01:00', time).toBe(true)
    days.add(time.slice(0, 10))
  }
  expect(days.size).toBe(2)
})

test.each([
  ['61 * * * *', 'Invalid value for minute: 61'],
  ['0 0 30 2 *', 'never comes due'],
  ['a b c d e', /illegal characters/],
  ['* * * *', /five/],
  ['*/5 2 * * mon-fri', null],
])('the cron %j has the problem %j', (pattern, problem) => {
  if (problem instanceof RegExp) expect(cronProblem(pattern)).toMatch(problem)
  else expect(cronProblem(pattern)).toBe(problem)
})

test('bells ring when the catalog says, where the queue would lose days or give up; an unknown zone rings none', () => {
  const cairo = { pattern: '0 0 * * *', tz: 'Africa/Cairo' }
  expect(nextRing(Date.parse('2026-04-23T12:00:00Z'), cairo)).toBe(Date.parse('2026-04-23T22:00:00Z'))
  expect(nextRing(START, { pattern: '0 2 * * *', tz: 'Australia/Lord_Howe' })).toBeTypeOf('number')
  expect(nextRing(START, { pattern: '0 2 * * *', tz: 'Mars/Base' })).toBeUndefined()
})
