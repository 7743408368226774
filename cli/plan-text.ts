import type { Plan } from './resources/environments.ts'
import { fields, formatCount } from './text.ts'

type Schedule = Plan['schedules'][number]
type AgeRule = Plan['retention']['safety']

/** `night: daily 01:00-05:00` */
export function scheduleText({ name, kind, cron, day, from, until }: Schedule): string {
  const when = kind === 'cron' ? [cron] : [day, `${from ?? '?'}-${until ?? '?'}`]
  return [`${name}: ${kind}`, ...when].filter((word) => word !== undefined).join(' ')
}

/** `7 daily, 4 weekly, 12 monthly` */
export const tiersText = ({ retention }: Plan): string =>
  retention.scheduled.tiers.map(({ keep, label }) => `${keep} ${label}`).join(', ')

export function ageRuleText({ keep_days: days, keep_newest: newest }: AgeRule): string {
  return `all of ${formatCount(days, 'day')}, then the ${newest} newest good`
}

/** `metadata every day, checksum every 30 days, drill every 7 days` */
function verificationText({ metadata, checksum, drill }: Plan['verification']): string {
  const levels = Object.entries({ metadata, checksum, drill }).map(([level, rule]) => {
    if (rule === null) return `${level} never`
    return `${level} every ${rule.every_days === 1 ? 'day' : formatCount(rule.every_days, 'day')}`
  })
  return levels.join(', ')
}

export function planLines(plan: Plan): string[] {
  const { slug, name, uuid, schedules, retention, verification, expected_within_hours: hours } = plan
  return [
    ...fields({
      plan: slug,
      name,
      'scheduled ones': tiersText(plan),
      'on-demand ones': ageRuleText(retention.on_demand),
      'safety ones': ageRuleText(retention.safety),
      verified: verificationText(verification),
      ...(typeof hours === 'number' ? { 'expected within': formatCount(hours, 'hour') } : {}),
      uuid,
    }),
    ...(schedules.length === 0
      ? ['no schedules']
      : ['schedules:', ...schedules.map((rule) => `  ${scheduleText(rule)}`)]),
  ]
}
