import { MANIFEST_NAME } from '../shared/domain/manifest.ts'
import type { Logger } from '../shared/log.ts'
import type { Store } from '../shared/storage/store.ts'
import type { Stores } from '../shared/storage/open-stores.ts'

/** Deletes all that an attempt left in the store: the manifest first, so that nothing half deleted looks like a backup. May run twice. */
export async function discardAttempt(store: Store, keyPrefix: string): Promise<void> {
  await store.delete(`${keyPrefix}${MANIFEST_NAME}`)
  for await (const object of store.list(keyPrefix)) await store.delete(object.key)
  for await (const upload of store.pendingUploads(keyPrefix)) await store.abortUpload(upload)
}

/**
 * Discards an attempt that ended without a seal. A manifest that may lie there must be gone before the next attempt; all else is harmless,
 * and a store that is away, or does not let us list or delete, stops nothing: the sweep deletes it later.
 */
export async function discardOrLeave(
  { stores, log }: { stores: Stores; log: Logger },
  attempt: { id: string; keyPrefix: string; storeUrl: string; mayHaveManifest: boolean },
): Promise<void> {
  const store = stores.open(attempt.storeUrl)
  const manifest = `${attempt.keyPrefix}${MANIFEST_NAME}`
  if (attempt.mayHaveManifest && (await store.head(manifest))) await store.delete(manifest)
  try {
    await discardAttempt(store, attempt.keyPrefix)
  } catch (error) {
    log.warn({ run: attempt.id, err: error }, 'leftovers of an attempt stay in the store until the sweep')
  }
}
