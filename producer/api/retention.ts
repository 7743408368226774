import { z } from 'zod'
import { getEnvironment } from '../../shared/catalog/environments.ts'
import { getPlan, policyOf } from '../../shared/catalog/plans.ts'
import { previewPolicy } from '../../shared/retention/preview.ts'
import { filterText, filterUuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { parseFields } from '../requests.ts'
import type { Route } from '../routes.ts'

const MAX_DAYS = 1000

const Query = z.strictObject({
  environment: filterUuid,
  plan: filterUuid.optional(),
  days: filterText
    .regex(/^\d{1,4}$/, 'must be a whole number of days')
    .transform(Number)
    .refine((days) => days <= MAX_DAYS, `must be at most ${MAX_DAYS}`)
    .default(0),
})

/** What a prune would do now, and what is left after so many days; by the environment's own plan or another one. Nothing is written. */
export function retentionRoutes({ catalog, clock }: Producer): Route[] {
  return [
    {
      method: 'GET',
      path: '/apps/v3/retention-preview/',
      role: 'viewer',
      async handle({ query, actor }) {
        const { environment: id, plan: planId, days } = parseFields(Query, query)
        const environment = await getEnvironment(catalog, id, actor.scope)
        const plan = planId === undefined ? null : await getPlan(catalog, planId)
        const policy = plan ? plan.retention : await policyOf(catalog, environment.uuid)
        const instances = await previewPolicy(catalog, environment.uuid, policy, {
          days,
          now: clock(),
          rules: plan?.schedules,
        })
        return {
          status: 200,
          body: {
            environment: environment.uuid,
            plan: plan ? plan.uuid : environment.plan,
            days,
            retention: policy,
            service_instances: instances,
          },
        }
      },
    },
  ]
}
