import { isStagedNeeded } from '../../shared/catalog/staged-objects.ts'
import type { Db } from '../../shared/catalog/database.ts'
import type { Clock } from '../../shared/clock.ts'
import { parseStagedKey, STAGED_PREFIX } from '../../shared/domain/staged-key.ts'
import type { Store } from '../../shared/storage/store.ts'

/**
 * Deletes what was sent for uploads and counts for none, when it is older than `minimumAgeSeconds`: what broke off with its producer.
 * @returns how many objects and pending uploads went
 */
export async function sweepUploads(
  { db, clock, minimumAgeSeconds }: { db: Db; clock: Clock; minimumAgeSeconds: number },
  store: Store,
): Promise<number> {
  const isOld = (since: Date) => clock().getTime() - since.getTime() >= minimumAgeSeconds * 1000
  const isLeft = async (key: string, since: Date) => {
    const id = parseStagedKey(key)
    return id !== null && isOld(since) && (await isStagedNeeded(db, id, key)) === false
  }
  let swept = 0
  for await (const { key, modifiedAt } of store.list(STAGED_PREFIX))
    if (await isLeft(key, modifiedAt)) {
      await store.delete(key)
      swept++
    }
  for await (const upload of store.pendingUploads(STAGED_PREFIX))
    if (await isLeft(upload.key, upload.startedAt)) {
      await store.abortUpload(upload)
      swept++
    }
  return swept
}
