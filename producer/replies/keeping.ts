import { z } from 'zod'
import { RetentionPolicy } from '../../shared/domain/retention/policy.ts'
import { ScheduleRule } from '../../shared/domain/schedule-rule.ts'
import { POLICY_CLASSES, SERVICE_TYPES } from '../../shared/domain/states.ts'
import { VerificationPolicy } from '../../shared/domain/verification.ts'
import { id, named, REPLIES, time } from './fields.ts'

REPLIES.add(RetentionPolicy, { id: 'RetentionPolicy' })
REPLIES.add(ScheduleRule, { id: 'ScheduleRule' })
REPLIES.add(VerificationPolicy, { id: 'VerificationPolicy' })

export const Plan = named('Plan', {
  uuid: id,
  slug: z.string(),
  name: z.string(),
  schedules: z.array(ScheduleRule),
  retention: RetentionPolicy,
  verification: VerificationPolicy,
  expected_within_hours: z.number().nullable(),
  is_shipped: z.boolean(),
  created_at: time,
})

export const Schedule = named('Schedule', {
  uuid: id,
  environment: id,
  name: z.string(),
  rule: ScheduleRule,
  timezone: z.string(),
  next_due_at: time.nullable(),
  last_due_at: time.nullable(),
  created_at: time,
})

const label = z.string().nullable()
const policy_class = z.enum(POLICY_CLASSES)

export const RetentionPreview = named('RetentionPreview', {
  environment: id,
  plan: id.nullable(),
  days: z.number(),
  retention: RetentionPolicy,
  service_instances: z.array(
    z.strictObject({
      service_instance: id,
      service_type: z.enum(SERVICE_TYPES),
      prefix: z.string(),
      today: z.array(
        z.strictObject({
          id,
          backup: id,
          action: z.enum(['keep', 'delete']),
          rule: z.string(),
          reason: z.string(),
          label,
          current_label: label,
          until: time.nullable(),
          at: time,
          bucket_date: z.string(),
          policy_class,
          standing: z.string(),
          size: z.number().nullable(),
        }),
      ),
      kept: z.array(
        z.strictObject({
          id: z.string(),
          backup: id.nullable().describe('null: simulated'),
          at: time,
          bucket_date: z.string(),
          policy_class,
          label,
          rule: z.string(),
          reason: z.string(),
          until: time.nullable(),
        }),
      ),
      going: z.array(
        z.strictObject({ id, backup: id, at: time, label, goes_at: time, rule: z.string(), reason: z.string() }),
      ),
      counts: z.record(z.string(), z.number()),
    }),
  ),
})
