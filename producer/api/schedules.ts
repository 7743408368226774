import { listSchedules } from '../../shared/catalog/schedules.ts'
import { list } from '../define-route.ts'
import { filterUuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { Schedule } from '../replies/keeping.ts'
import type { Route } from '../routes.ts'

/** The rules of plans as they stand for each environment; they change with the plan only. */
export function scheduleRoutes({ catalog }: Producer): Route[] {
  return [
    list({
      path: '/apps/v3/schedules/',
      role: 'viewer',
      summary: 'Lists when environments are backed up; what comes next is first.',
      filters: { environment: filterUuid.optional() },
      of: Schedule,
      rows: ({ actor: { scope }, query, page }) =>
        listSchedules(catalog, { scope, environmentId: query.environment, page }),
    }),
  ]
}
