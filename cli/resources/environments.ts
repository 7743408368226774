import { z } from 'zod'

// Loose: what the producer sends beyond these fields is kept for --json, and a newer producer is still understood.

export const Identity = z.looseObject({
  email: z.string().nullish(),
  first_name: z.string().nullish(),
  last_name: z.string().nullish(),
  role: z.string().nullish(),
})

/** What needs attention. `queues`: null when Redis does not answer. */
export const Status = z.looseObject({
  overdue: z.looseObject({
    count: z.number(),
    results: z.array(
      z.looseObject({
        environment: z.string(),
        slug: z.string(),
        application: z.string(),
        expected_by: z.string(),
        last_good_at: z.string().nullable(),
      }),
    ),
  }),
  alerts: z.looseObject({
    count: z.number(),
    results: z.array(z.looseObject({ kind: z.string(), message: z.string(), raised_at: z.string() })),
  }),
  queues: z.record(z.string(), z.record(z.string(), z.number())).nullable(),
})
export type Status = z.infer<typeof Status>

export const Application = z.looseObject({
  uuid: z.string(),
  slug: z.string(),
  name: z.string(),
  organisation: z.string(),
})
export type Application = z.infer<typeof Application>

export const Environment = z.looseObject({
  uuid: z.string(),
  slug: z.string(),
  application: z.string(),
  plan: z.string().nullable(),
  timezone: z.string(),
  store: z.string().nullable(),
  pruning_stopped: z.looseObject({ reason: z.string(), at: z.string() }).nullish(),
})
export type Environment = z.infer<typeof Environment>

const AgeRule = z.looseObject({ keep_days: z.number(), keep_newest: z.number() })

/** What a plan consists of; what it lacks, the producer fills in. */
export const Plan = z.looseObject({
  uuid: z.string(),
  slug: z.string(),
  name: z.string(),
  schedules: z.array(
    z.looseObject({
      name: z.string(),
      kind: z.string(),
      cron: z.string().optional(),
      day: z.string().optional(),
      from: z.string().optional(),
      until: z.string().optional(),
    }),
  ),
  retention: z.looseObject({
    scheduled: z.looseObject({
      tiers: z.array(z.looseObject({ label: z.string(), per: z.string(), keep: z.number() })),
    }),
    on_demand: AgeRule,
    safety: AgeRule,
  }),
  verification: z.looseObject({
    metadata: z.looseObject({ every_days: z.number() }).nullable(),
    checksum: z.looseObject({ every_days: z.number(), most_per_day: z.number() }).nullable(),
    drill: z.looseObject({ every_days: z.number() }).nullable(),
  }),
  expected_within_hours: z.number().nullish(),
})
export type Plan = z.infer<typeof Plan>

export const ServiceInstance = z.looseObject({
  uuid: z.string(),
  environment: z.string(),
  type: z.string(),
  prefix: z.string(),
  service_status: z.string().nullish(),
})
export type ServiceInstance = z.infer<typeof ServiceInstance>
