import { z } from 'zod'
import { listStores, storeUrl } from '../../shared/catalog/stores.ts'
import { checkStore } from '../../shared/retention/check-store.ts'
import { requireWholeInstallation } from '../auth.ts'
import type { Producer } from '../producer.ts'
import { listReply, parseBody, parseListQuery } from '../requests.ts'
import type { Route } from '../routes.ts'

const Nothing = z.strictObject({})

/** What environments point to by id. */
export function storeRoutes({ catalog, clock, openStore }: Producer): Route[] {
  const all = '/apps/v3/stores/'
  return [
    {
      method: 'GET',
      path: all,
      role: 'viewer',
      async handle(call) {
        const { page } = parseListQuery({}, call)
        const { rows, count } = await listStores(catalog, page)
        return listReply(call, page, count, rows)
      },
    },
    {
      // Answers when all objects have been looked at; organisations share stores, so one of them may not ask.
      method: 'POST',
      path: `${all}:uuid/check/`,
      role: 'admin',
      isLong: true,
      async handle(call) {
        parseBody(Nothing, call)
        requireWholeInstallation(call.actor, 'a check of a store')
        const id = call.params['uuid'] ?? ''
        const url = await storeUrl(catalog, id)
        const report = await checkStore({ catalog, clock }, await openStore(id), url)
        return { status: 200, body: { store: id, ...report } }
      },
    },
  ]
}
