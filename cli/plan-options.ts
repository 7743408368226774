import { InvalidArgumentError } from 'commander'
import type { AgeRule, Tier } from '../shared/domain/retention/policy.ts'
import type { ScheduleRule } from '../shared/domain/schedule-rule.ts'

const LABELS: Record<Tier['per'], string> = {
  hour: 'hourly',
  day: 'daily',
  week: 'weekly',
  month: 'monthly',
  year: 'yearly',
}
const WINDOW = String.raw`(?<from>\d\d:\d\d)-(?<until>\d\d:\d\d)`
const RULE = new RegExp(`^(?<name>[^=\\s]+)=(?:daily ${WINDOW}|weekly (?<day>[a-z]+) ${WINDOW}|cron (?<cron>\\S.*))$`)

/** `night=daily 01:00-05:00`, `sunday=weekly sunday 01:00-05:00` or `often=cron 0 *\/6 * * *`; the producer checks the values. */
export function parseSchedule(text: string, previous: readonly ScheduleRule[] | false = []): ScheduleRule[] {
  const { name, day, cron, from, until } = RULE.exec(text)?.groups ?? {}
  if (name === undefined) {
    throw new InvalidArgumentError(
      'write NAME=daily 01:00-05:00, NAME=weekly sunday 01:00-05:00 or NAME=cron 0 */6 * * *.',
    )
  }
  const window = { from, until }
  const rule =
    cron !== undefined
      ? { kind: 'cron', cron }
      : day !== undefined
        ? { kind: 'weekly', day, ...window }
        : { kind: 'daily', ...window }
  return [...(previous === false ? [] : previous), { name, ...rule } as ScheduleRule]
}

/** `day=7,week=4,month=12` → tiers from fine to coarse, with the usual labels. */
export function parseTiers(text: string): Tier[] {
  return text.split(',').map((part) => {
    const [, per = '', keep = ''] = /^(hour|day|week|month|year)=([1-9]\d{0,4})$/.exec(part) ?? []
    if (keep === '') throw new InvalidArgumentError('write for example day=7,week=4,month=12.')
    return { label: LABELS[per as Tier['per']], per: per as Tier['per'], keep: Number(keep) }
  })
}

/** `30/3` → all of the last 30 days, and the 3 newest good ones of the older. */
export function parseAgeRule(text: string): AgeRule {
  const [, days, newest] = /^(\d{1,5})\/(\d{1,5})$/.exec(text) ?? []
  if (days === undefined) throw new InvalidArgumentError('write DAYS/COUNT, such as 30/3.')
  return { keep_days: Number(days), keep_newest: Number(newest) }
}
