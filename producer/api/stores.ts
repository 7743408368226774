import { z } from 'zod'
import { createStore, listStores, storeUrl } from '../../shared/catalog/stores.ts'
import { checkStore } from '../../shared/retention/check-store.ts'
import { requireWholeInstallation } from '../auth.ts'
import { slug } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { listReply, parseBody, parseListQuery } from '../requests.ts'
import type { Route } from '../routes.ts'

const Nothing = z.strictObject({})
const NewStore = z.strictObject({
  name: slug,
  url: z.string('must be an address').min(1, 'must not be empty').max(4096, 'must be at most 4096 characters'),
})

/** What environments point to by id. */
export function storeRoutes({ catalog, clock, openStore, tryStore }: Producer): Route[] {
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
      // Only what answers and, for a folder, bears the mark of a store already: an address that is asked for here makes no folder a store.
      method: 'POST',
      path: all,
      role: 'admin',
      async handle(call) {
        requireWholeInstallation(call.actor, 'registering a store')
        const { name, url } = parseBody(NewStore, call)
        await tryStore(url)
        return { status: 201, body: await createStore(catalog, { name, url, now: clock() }) }
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
