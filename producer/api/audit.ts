import { listAudit } from '../../shared/catalog/audit.ts'
import { filterText, filterTime, filterUuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { listReply, parseListQuery } from '../requests.ts'
import type { Route } from '../routes.ts'

const filters = {
  actor: filterUuid.optional(),
  action: filterText.optional(),
  target: filterUuid.optional(),
  since: filterTime.optional(),
  until: filterTime.optional(),
}

/** Who did what. */
export function auditRoutes({ catalog }: Producer): Route[] {
  return [
    {
      method: 'GET',
      path: '/apps/v3/audit/',
      role: 'admin',
      async handle(call) {
        const { filters: given, page } = parseListQuery(filters, call)
        const { rows, count } = await listAudit(catalog, { scope: call.actor.scope, ...given, page })
        return listReply(call, page, count, rows)
      },
    },
  ]
}
