import {
  claimRestore,
  endRestore,
  renewRestore,
  requeueRestore,
  type ClaimedRestore,
} from '../../shared/catalog/restore-runs.ts'
import { decryptConnection, type Connection } from '../../shared/connections.ts'
import { toCofferError } from '../../shared/errors.ts'
import { readIdentities } from '../../shared/identities.ts'
import { decodeManifest } from '../../shared/manifest.ts'
import { startLife, type Life } from '../life.ts'
import { persistently } from '../persistently.ts'
import { runError } from '../run-error.ts'
import type { BellJob, WorkerContext } from '../run-processor.ts'
import { restoreDatabase } from './restore-database.ts'
import { restoreMedia } from './restore-media.ts'
import type { RestorePart } from './restore-part.ts'

/** One restore of one service-instance backup, from claim to end. Throws what made it fail, so that the job shows red. */
export async function processRestore(context: WorkerContext, job: BellJob): Promise<string> {
  const { catalog, config, owner, clock, log } = context
  const leaseSeconds = config.COFFER_LEASE_SECONDS
  const claim = await claimRestore(catalog, { ...job.data, owner, leaseSeconds, now: clock() })
  if ('refused' in claim)
    return claim.refused === 'stale' ? 'nothing to do' : 'waits: another restore into the same target is under way'
  const restore = claim.claimed
  const life = startLife({
    subject: `restore ${restore.id}`,
    renew: (progress) => renewRestore(catalog, restore, { leaseSeconds, progress }),
    leaseSeconds,
    watchdogSeconds: config.COFFER_WATCHDOG_SECONDS,
    deadlineSeconds: config.COFFER_DEADLINE_SECONDS,
    stop: context.stop,
    clock,
    log,
  })
  log.info({ restore: restore.id }, 'restore claimed')
  try {
    const report = await restorePart(context, restore, life)
    await persistently(
      () => endRestore(catalog, restore, { success: 'SUCCESS', report, error: null, now: clock() }),
      // What is in the target is restored, whatever stops this worker now.
      AbortSignal.timeout(leaseSeconds * 1000),
    )
    return 'restored'
  } catch (thrown) {
    const error = life.signal.aborted ? toCofferError(life.signal.reason) : toCofferError(thrown)
    if (error.code === 'WORKER_STOPPED') {
      await requeueRestore(catalog, restore)
      return error.message
    }
    log.warn({ restore: restore.id, code: error.code, err: error }, 'restore failed')
    const end = {
      success: 'FAILURE' as const,
      report: null,
      error: runError(error, restore.attempt, clock()),
      now: clock(),
    }
    await persistently(() => endRestore(catalog, restore, end), AbortSignal.timeout(leaseSeconds * 1000))
    throw error
  } finally {
    await life.end()
    context.ringer.nudge()
  }
}

async function restorePart(
  context: WorkerContext,
  restore: ClaimedRestore,
  life: Life,
): Promise<Record<string, unknown>> {
  const { secrets, stores, config } = context
  const { contents } = decodeManifest(secrets, restore.manifest)
  const connection: Connection = decryptConnection(secrets, restore.target.id, restore.target.connection)
  const part: RestorePart = {
    connection,
    config,
    life,
    store: stores.open(restore.storeUrl),
    artifacts: restore.artifacts,
    identities: await readIdentities(config.COFFER_AGE_IDENTITY_FILE),
  }
  if (contents.kind === 'postgresql') return restoreDatabase(part, contents)
  return restoreMedia(part, contents)
}
