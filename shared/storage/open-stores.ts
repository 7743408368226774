import { openStore } from './open-store.ts'
import type { Store } from './store.ts'

/** The stores of one process: each address is opened once. */
export interface Stores extends Disposable {
  open(url: string): Store
}

export function openStores(): Stores {
  const opened = new Map<string, Store>()
  return {
    open(url) {
      const store = opened.get(url) ?? openStore(url)
      opened.set(url, store)
      return store
    },
    [Symbol.dispose]() {
      for (const store of opened.values()) store.close()
    },
  }
}
