import { createHash } from 'node:crypto'
import { Cron } from 'croner'
import { WEEKDAYS, type ScheduleRule } from '../domain/schedule-rule.ts'

const HOUR = 60
const DAY = 24 * HOUR
/** How many missed due times an outage leaves on record for one schedule: its newest ones. */
const MAX_MISSED = 1_000

/** A rule as one environment follows it: a cron of five fields on the wall clock of its zone. */
export interface Timetable {
  pattern: string
  timezone: string
}

export function timetableOf(rule: ScheduleRule, environment: { id: string; timezone: string }): Timetable {
  return { pattern: patternOf(rule, environment.id), timezone: environment.timezone }
}

function patternOf(rule: ScheduleRule, environmentId: string): string {
  if (rule.kind === 'cron') return rule.cron
  const from = minuteOfDay(rule.from)
  const length = (minuteOfDay(rule.until) - from + DAY) % DAY
  const minute = from + (spread(environmentId) % length)
  const ofDay = minute % DAY
  const weekday = rule.kind === 'daily' ? '*' : (WEEKDAYS.indexOf(rule.day) + Math.floor(minute / DAY)) % 7
  return `${ofDay % HOUR} ${Math.floor(ofDay / HOUR)} * * ${weekday}`
}

function minuteOfDay(time: string): number {
  const [hours = 0, minutes = 0] = time.split(':').map(Number)
  return hours * HOUR + minutes
}

/** The same number for the same id, everywhere and for ever. */
const spread = (id: string): number => createHash('sha256').update(id).digest().readUInt32BE(0)

/**
 * The first due time later than `after`; null when there is none. A time that a DST change skips comes at the first moment after the
 * gap, one that it repeats comes once; only intervals such as every ten minutes follow the hours as they pass.
 */
export const nextDue = (timetable: Timetable, after: Date): Date | null => cronOf(timetable).nextRun(after)

/** Why a cron can't be followed, or null. */
export function cronProblem(pattern: string): string | null {
  try {
    return nextDue({ pattern, timezone: 'UTC' }, new Date(0)) ? null : 'never comes due'
  } catch (error) {
    return error instanceof Error ? error.message.replace(/^CronPattern: /, '') : 'is not a cron'
  }
}

/**
 * What has come due since `firstDue`, which has itself come due by `now`: the newest, and those before it, newest first. Of a very
 * long outage only the thousand newest.
 */
export function dueSince(timetable: Timetable, firstDue: Date, now: Date): { newest: Date; missed: Date[] } {
  const cron = cronOf(timetable)
  const found: Date[] = []
  // The reference itself does not count as previous, and due times are whole seconds.
  let before: Date | undefined = new Date(Math.floor(now.getTime() / 1_000 + 1) * 1_000)
  while (found.length <= MAX_MISSED) {
    ;[before] = cron.previousRuns(1, before)
    if (!before || before <= firstDue) break
    found.push(before)
  }
  const [newest = firstDue, ...missed] = found.length > MAX_MISSED ? found : [...found, firstDue]
  return { newest, missed }
}

const cronOf = ({ pattern, timezone }: Timetable): Cron =>
  new Cron(pattern, { timezone, mode: '5-part', fixedTimeRule: 'no-wildcard' })
