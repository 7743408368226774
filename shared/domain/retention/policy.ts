import { z } from 'zod'
import { PERIODS } from './bucket.ts'

const Tier = z.strictObject({
  label: z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, 'a label is 1 to 32 of a-z, 0-9 and -, and begins with a letter'),
  per: z.enum(PERIODS),
  keep: z.int().min(1).max(10_000),
})
export type Tier = z.infer<typeof Tier>

const AgeRule = z
  .strictObject({ keep_days: z.int().min(0).max(36_500), keep_newest: z.int().min(0).max(10_000) })
  .refine((rule) => rule.keep_days > 0 || rule.keep_newest > 0, {
    error: 'keep_days and keep_newest are both 0: that would keep nothing',
  })
export type AgeRule = z.infer<typeof AgeRule>

const Tiers = z
  .array(Tier)
  .min(1, 'at least one tier is needed: an empty policy is no policy')
  .superRefine((tiers, context) => {
    for (const [index, tier] of tiers.entries()) {
      const earlier = tiers.slice(0, index)
      if (earlier.some(({ label }) => label === tier.label))
        context.addIssue({ code: 'custom', path: [index, 'label'], message: `the label ${tier.label} is used twice` })
      const finer = earlier.at(-1)
      if (finer && PERIODS.indexOf(tier.per) <= PERIODS.indexOf(finer.per))
        context.addIssue({
          code: 'custom',
          path: [index, 'per'],
          message: `${tier.per} is not coarser than ${finer.per}: tiers go from fine to coarse, one for each period`,
        })
    }
  })

/**
 * What is kept of one service instance. Scheduled ones overflow by count from tier to tier, finest first; on-demand ones stay
 * `keep_days`, and the `keep_newest` good ones of the older; safety ones stay `keep_days`, and the `keep_newest` good ones of all.
 */
export const RetentionPolicy = z.strictObject({
  scheduled: z.strictObject({ tiers: Tiers }),
  on_demand: AgeRule,
  safety: AgeRule,
})
export type RetentionPolicy = z.infer<typeof RetentionPolicy>

export const DEFAULT_POLICY: RetentionPolicy = {
  scheduled: {
    tiers: [
      { label: 'daily', per: 'day', keep: 7 },
      { label: 'weekly', per: 'week', keep: 4 },
      { label: 'monthly', per: 'month', keep: 12 },
    ],
  },
  on_demand: { keep_days: 30, keep_newest: 3 },
  safety: { keep_days: 7, keep_newest: 1 },
}
