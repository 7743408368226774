import { z } from 'zod'

export const WEEKDAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'] as const

const name = z
  .string('must be text')
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'must be 1 to 63 of a-z, 0-9 and -, and neither begin nor end with -')
const cron = z
  .string('must be text')
  .max(200, 'must be at most 200 characters')
  .regex(/^[^\s@]+( [^\s@]+){4}$/, 'must be five fields: minute hour day-of-month month day-of-week')
const time = z.string('must be text').regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'must be a time of day from 00:00 to 23:59')
const day = z.enum(WEEKDAYS, `must be one of ${WEEKDAYS.join(', ')}`)

const Rule = z.discriminatedUnion(
  'kind',
  [
    z.strictObject({ name, kind: z.literal('cron'), cron }),
    z.strictObject({ name, kind: z.literal('daily'), from: time, until: time }),
    z.strictObject({ name, kind: z.literal('weekly'), day, from: time, until: time }),
  ],
  'must be cron, daily or weekly',
)

/**
 * When an environment is backed up, by its own wall clock: a cron of five fields, or one minute inside a window, which may pass
 * midnight. The minute is the environment's own, so that load spreads; `until` is not part of the window.
 */
export const ScheduleRule = Rule.refine((rule) => rule.kind === 'cron' || rule.from !== rule.until, {
  path: ['until'],
  error: 'must differ from `from`: the window would be empty',
})
export type ScheduleRule = z.infer<typeof ScheduleRule>
