import { findAttempt, storeAddresses, type AttemptOnRecord } from '../../shared/catalog/lapses.ts'
import type { Db } from '../../shared/catalog/database.ts'
import type { Clock } from '../../shared/clock.ts'
import { parseKey, type KeyParts } from '../../shared/domain/keys.ts'
import { MANIFEST_NAME } from '../../shared/domain/manifest.ts'
import { judgeManifest } from '../../shared/rebuild/judge-manifest.ts'
import type { Secrets } from '../../shared/secrets.ts'
import type { Store } from '../../shared/storage/store.ts'
import { discardAttempt } from '../attempt-objects.ts'
import { discardSpent } from '../transfer/process-upload.ts'
import { sweepUploads } from '../transfer/sweep-uploads.ts'
import type { WorkerContext } from '../run-processor.ts'

export interface SweepReport {
  /** Attempts whose leftovers were deleted, by key prefix. */
  deletedAttempts: string[]
  abortedUploads: number
  /** Objects that look like ours but whose backup this catalog doesn't know: reported, never deleted. */
  unknownObjects: number
  /**
   * Attempts with a manifest that somebody else has signed, a backup of before the secret key was lost, perhaps; and whole ones of our
   * own, which this catalog, an older copy of itself, does not know to be sealed. Never deleted.
   */
  keptAttempts: string[]
}

/**
 * Deletes what attempts that were never sealed have left in a store, when it is older than `minimumAgeSeconds`. What the catalog has
 * never heard of is not touched: it may be all that is left after the catalog was lost. Nor is a whole backup, signed by whatever key.
 */
export async function sweepStore(
  { db, secrets, clock, minimumAgeSeconds }: { db: Db; secrets: Secrets; clock: Clock; minimumAgeSeconds: number },
  store: Store,
): Promise<SweepReport> {
  const report: SweepReport = { deletedAttempts: [], abortedUploads: 0, unknownObjects: 0, keptAttempts: [] }
  const isOld = (since: Date) => clock().getTime() - since.getTime() >= minimumAgeSeconds * 1000
  const attempts = rememberLast((parts) => findAttempt(db, parts))
  const orphans = new Set<string>()

  for await (const object of store.list('')) {
    const parts = parseKey(object.key)
    if (!parts) continue
    const attempt = await attempts(parts)
    if (!attempt) report.unknownObjects++
    else if (isOrphan(attempt, parts) && isOld(object.modifiedAt))
      orphans.add(object.key.slice(0, object.key.length - parts.name.length))
  }
  for (const keyPrefix of orphans) {
    const found = await judgeManifest({ secrets, store }, `${keyPrefix}${MANIFEST_NAME}`)
    if (found.verdict !== 'rejected' && (found.verdict === 'unverified' || found.missing.length === 0)) {
      report.keptAttempts.push(keyPrefix)
      continue
    }
    await discardAttempt(store, keyPrefix)
    report.deletedAttempts.push(keyPrefix)
  }
  for await (const upload of store.pendingUploads('')) {
    const parts = parseKey(upload.key)
    const attempt = parts && (await attempts(parts))
    if (!attempt || !isOld(upload.startedAt)) continue
    if (attempt.running && attempt.attempt === parts.attempt) continue
    await store.abortUpload(upload)
    report.abortedUploads++
  }
  return report
}

const isOrphan = (known: AttemptOnRecord, { attempt }: KeyParts) =>
  attempt !== known.attempt || !(known.running || known.sealed)

/** Neighbouring keys belong to the same attempt, so the last answer is nearly always the one that is needed. */
function rememberLast(find: (parts: KeyParts) => Promise<AttemptOnRecord | null>) {
  let last: { id: string; answer: AttemptOnRecord | null } | null = null
  return async (parts: KeyParts): Promise<AttemptOnRecord | null> => {
    const id = `${parts.attempts}${parts.attempt}`
    if (last?.id !== id) last = { id, answer: await find(parts) }
    return last.answer
  }
}

/** Sweeps every store that the catalog knows. One that can't be swept doesn't stop the others. */
export async function sweepStores(context: WorkerContext): Promise<void> {
  const { catalog, secrets, clock, config, log, stores } = context
  const settings = { db: catalog, secrets, clock, minimumAgeSeconds: config.COFFER_ORPHAN_SECONDS }
  await catalog.exclusively('coffer sweep', async () => {
    await discardSpent(context).catch((error: unknown) =>
      log.error({ err: error }, 'staged objects could not be deleted'),
    )
    for (const url of await storeAddresses(catalog)) {
      try {
        const report = await sweepStore(settings, stores.open(url))
        const uploads = await sweepUploads(settings, stores.open(url))
        const found =
          uploads +
          report.deletedAttempts.length +
          report.abortedUploads +
          report.unknownObjects +
          report.keptAttempts.length
        if (found > 0) log.warn({ report, uploads }, 'the sweep found leftovers in a store')
      } catch (error) {
        log.error({ err: error }, 'a store could not be swept; the others are')
      }
    }
  })
}
