import { listPlans } from '../../shared/catalog/plans.ts'
import { listStores } from '../../shared/catalog/stores.ts'
import type { Producer } from '../producer.ts'
import { listReply, parseListQuery } from '../requests.ts'
import type { Route } from '../routes.ts'

/** What environments point to by id; read-only. */
export function storeAndPlanRoutes({ catalog }: Producer): Route[] {
  const list = (path: string, read: typeof listStores | typeof listPlans): Route => ({
    method: 'GET',
    path,
    role: 'viewer',
    async handle(call) {
      const { page } = parseListQuery({}, call)
      const { rows, count } = await read(catalog, page)
      return listReply(call, page, count, rows)
    },
  })
  return [list('/apps/v3/stores/', listStores), list('/apps/v3/plans/', listPlans)]
}
