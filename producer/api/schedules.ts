import { listSchedules } from '../../shared/catalog/schedules.ts'
import { filterUuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { listReply, parseListQuery } from '../requests.ts'
import type { Route } from '../routes.ts'

/** The rules of plans as they stand for each environment; they change with the plan only. */
export function scheduleRoutes({ catalog }: Producer): Route[] {
  return [
    {
      method: 'GET',
      path: '/apps/v3/schedules/',
      role: 'viewer',
      async handle(call) {
        const { filters, page } = parseListQuery({ environment: filterUuid.optional() }, call)
        const filter = { scope: call.actor.scope, environmentId: filters.environment, page }
        const { rows, count } = await listSchedules(catalog, filter)
        return listReply(call, page, count, rows)
      },
    },
  ]
}
