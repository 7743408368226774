import { z } from 'zod'
import { count, id, named, time } from './fields.ts'

const Overdue = z.strictObject({
  environment: id,
  slug: z.string(),
  application: z.string(),
  expected_by: time,
  last_good_at: time.nullable(),
})

const Alert = z.strictObject({
  uuid: id,
  kind: z.string(),
  subject: z.string(),
  environment: id.nullable(),
  message: z.string(),
  raised_at: time,
})

export const Status = named('Status', {
  overdue: z.strictObject({ count, results: z.array(Overdue) }),
  alerts: z.strictObject({ count, results: z.array(Alert) }),
  queues: z
    .record(z.string(), z.record(z.string(), z.number()))
    .nullable()
    .describe('by queue: how many jobs wait, run and have failed; null: Redis does not answer'),
})
