import { getEnvironment } from '../../shared/catalog/environments.ts'
import { getPlan, policyOf } from '../../shared/catalog/plans.ts'
import { previewPolicy } from '../../shared/retention/preview.ts'
import { route } from '../define-route.ts'
import { filterNumber, filterUuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { RetentionPreview } from '../replies/keeping.ts'
import type { Route } from '../routes.ts'

const MAX_DAYS = 1000

const query = {
  environment: filterUuid,
  plan: filterUuid.optional(),
  days: filterNumber(0, MAX_DAYS, 0),
}

/** What a prune would do now, and what is left after so many days; by the environment's own plan or another one. Nothing is written. */
export function retentionRoutes({ catalog }: Producer): Route[] {
  return [
    route({
      method: 'GET',
      path: '/apps/v3/retention-preview/',
      role: 'viewer',
      summary: 'Shows what a prune would delete now, and what is left after so many days.',
      query,
      reply: RetentionPreview,
      codes: ['NOT_FOUND', 'PLAN_INVALID'],
      async handle({ query: { environment: id, plan: planId, days }, actor, now }) {
        const environment = await getEnvironment(catalog, id, actor.scope)
        const plan = planId === undefined ? null : await getPlan(catalog, planId)
        const policy = plan ? plan.retention : await policyOf(catalog, environment.uuid)
        const asked = { days, now, rules: plan?.schedules }
        return {
          environment: environment.uuid,
          plan: plan ? plan.uuid : environment.plan,
          days,
          retention: policy,
          service_instances: await previewPolicy(catalog, environment.uuid, policy, asked),
        }
      },
    }),
  ]
}
