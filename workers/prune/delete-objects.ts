import type { Deletion } from '../../shared/catalog/deleting.ts'
import { MANIFEST_NAME, STATE_NAME } from '../../shared/domain/manifest.ts'
import { CofferError } from '../../shared/errors.ts'
import { reached } from '../../shared/steps.ts'
import type { Store } from '../../shared/storage/store.ts'
import { discardAttempt } from '../attempt-objects.ts'

/**
 * Deletes all objects of a service-instance backup, the manifest first, and confirms that they are gone. May run twice.
 * @throws STORE_MISMATCH when the store still has one that it said it had deleted
 */
export async function deleteObjects(
  store: Store,
  { keyPrefix, keys }: Deletion & { keyPrefix: string },
): Promise<void> {
  const manifest = `${keyPrefix}${MANIFEST_NAME}`
  await store.delete(manifest)
  await confirmGone(store, manifest)
  reached('prune-manifest-gone', { key: manifest })
  for (const key of keys) await store.delete(key)
  await discardAttempt(store, keyPrefix)
  for (const key of [manifest, `${keyPrefix}${STATE_NAME}`, ...keys]) await confirmGone(store, key)
  reached('prune-objects-gone', { key: keyPrefix })
}

async function confirmGone(store: Store, key: string): Promise<void> {
  if (await store.head(key)) throw new CofferError('STORE_MISMATCH', `the store still has ${key} after it was deleted`)
}
