import { z } from 'zod'
import { RetentionPolicy } from './retention/policy.ts'
import { ScheduleRule } from './schedule-rule.ts'
import { VerificationPolicy } from './verification.ts'

const MAX_SCHEDULES = 24

const schedules = z
  .array(ScheduleRule, 'must be a list of schedules')
  .max(MAX_SCHEDULES, `must be at most ${MAX_SCHEDULES}`)
  .superRefine((rules, context) => {
    for (const [index, { name }] of rules.entries())
      if (rules.findIndex((rule) => rule.name === name) < index)
        context.addIssue({ code: 'custom', path: [index, 'name'], message: `the name ${name} is used twice` })
  })

/** A subscription: when environments are backed up, what is kept, and by when a good backup is expected. */
export const PlanDefinition = z.strictObject({
  slug: z
    .string('must be text')
    .regex(
      /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
      'must be 1 to 63 of a-z, 0-9 and -, and neither begin nor end with -',
    ),
  name: z.string('must be text').trim().min(1, 'must not be empty').max(200, 'must be at most 200 characters'),
  schedules,
  retention: RetentionPolicy,
  /** Absent: DEFAULT_VERIFICATION. */
  verification: VerificationPolicy.optional(),
  /** Hours after the last good backup; null or absent: two hours after the next due time. */
  expected_within_hours: z
    .int('must be a whole number of hours')
    .min(1, 'must be at least 1')
    .max(87_600, 'must be at most 87600')
    .nullish(),
})
export type PlanDefinition = z.infer<typeof PlanDefinition>
