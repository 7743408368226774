import { z } from 'zod'

// Loose: what the producer sends beyond these fields is kept for --json, and a newer producer is still understood.

const RetentionLine = z.looseObject({
  backup: z.string().nullable(),
  at: z.string(),
  label: z.string().nullable(),
  reason: z.string(),
})

/** Of each service instance: what a prune would do now, what goes within the days that were asked for, and what there is then. */
export const RetentionPreview = z.looseObject({
  plan: z.string().nullable(),
  days: z.number(),
  service_instances: z.array(
    z.looseObject({
      service_type: z.string(),
      prefix: z.string(),
      today: z.array(
        RetentionLine.extend({
          id: z.string(),
          action: z.string(),
          until: z.string().nullable(),
          standing: z.string(),
        }),
      ),
      going: z.array(z.looseObject({ id: z.string(), goes_at: z.string() })),
      kept: z.array(RetentionLine.extend({ policy_class: z.string() })),
      counts: z.record(z.string(), z.number()),
    }),
  ),
})
export type RetentionPreview = z.infer<typeof RetentionPreview>
