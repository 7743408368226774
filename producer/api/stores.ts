import { z } from 'zod'
import { createStore, listStores, storeUrl } from '../../shared/catalog/stores.ts'
import { checkStore } from '../../shared/retention/check-store.ts'
import { list, route } from '../define-route.ts'
import { slug } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { Store, StoreCheck } from '../replies/stores.ts'
import type { Route } from '../routes.ts'

const NewStore = z.strictObject({
  name: slug,
  url: z.string('must be an address').min(1, 'must not be empty').max(4096, 'must be at most 4096 characters'),
})

/** What environments point to by id. */
export function storeRoutes({ catalog, clock, openStore, tryStore }: Producer): Route[] {
  const all = '/apps/v3/stores/'
  return [
    list({
      path: all,
      role: 'viewer',
      summary: 'Lists stores.',
      of: Store,
      rows: ({ page }) => listStores(catalog, page),
    }),
    route({
      // Only what answers and, for a folder, bears the mark of a store already: an address that is asked for here makes no folder a store.
      method: 'POST',
      path: all,
      role: 'admin',
      concernsAll: 'registering a store',
      summary: 'Registers a store that answers; a folder must be a store already.',
      body: NewStore,
      reply: Store,
      status: 201,
      codes: ['CONFLICT', 'STORE_REFUSED', 'STORE_UNREACHABLE'],
      vet: ({ body: { url } }) => tryStore(url),
      handle: ({ body: { name, url }, now }) => createStore(catalog, { name, url, now }),
    }),
    route({
      // Answers when all objects have been looked at; organisations share stores, so one of them may not ask.
      method: 'POST',
      path: `${all}:uuid/check/`,
      role: 'admin',
      concernsAll: 'a check of a store',
      summary: 'Compares a store with the catalog, both ways.',
      isLong: true,
      reply: StoreCheck,
      codes: ['STORE_REFUSED', 'STORE_UNREACHABLE'],
      async handle({ id }) {
        const url = await storeUrl(catalog, id)
        const report = await checkStore({ catalog, clock }, await openStore(id), url)
        return { store: id, ...report }
      },
    }),
  ]
}
