import type { Db } from '../shared/catalog/database.ts'
import { storeUrl } from '../shared/catalog/stores.ts'
import { openStore } from '../shared/storage/open-store.ts'
import type { Store } from '../shared/storage/store.ts'

export interface OpenStores {
  /** @throws NOT_FOUND */
  byId(id: string): Promise<Store>
  byUrl(url: string): Store
  close(): void
}

/** Opens each store once. */
export function keepStores(db: Db): OpenStores {
  const stores = new Map<string, Store>()
  const byUrl = (url: string) => {
    const store = stores.get(url) ?? openStore(url)
    stores.set(url, store)
    return store
  }
  return {
    byUrl,
    byId: async (id) => byUrl(await storeUrl(db, id)),
    close: () => stores.forEach((store) => store.close()),
  }
}
