import { PlanDefinition } from './plan.ts'
import { DEFAULT_POLICY, RetentionPolicy } from './retention/policy.ts'
import { DEFAULT_VERIFICATION, VerificationPolicy } from './verification.ts'

/** A plan as a person writes it: what is left out is usual. */
export const NewPlan = PlanDefinition.extend({
  name: PlanDefinition.shape.name.optional(),
  schedules: PlanDefinition.shape.schedules.default([]),
  retention: RetentionPolicy.default(DEFAULT_POLICY),
  verification: VerificationPolicy.default(DEFAULT_VERIFICATION),
}).transform(({ slug, name = slug, ...plan }): PlanDefinition => ({ slug, name, ...plan }))
