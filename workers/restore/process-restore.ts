import { requeueRestore } from '../../shared/catalog/restore-ends.ts'
import {
  awaitSafetyBackup,
  claimRestore,
  recordPreflight,
  type ClaimedRestore,
} from '../../shared/catalog/restore-runs.ts'
import { listUnfinishedRestores, recordRecovered } from '../../shared/catalog/restore-unfinished.ts'
import { CofferError, toCofferError } from '../../shared/errors.ts'
import { reached } from '../../shared/steps.ts'
import type { Life } from '../life.ts'
import { refuseRetry } from '../refuse-retry.ts'
import type { BellJob, WorkerContext } from '../run-processor.ts'
import { endRestored, endUnrestored } from './ends.ts'
import { openTarget, type OpenTarget } from './open-target.ts'
import { liveFor } from './restore-life.ts'
import { protectionOf, requireSound } from './safety.ts'
import { settleKept } from './settle-kept.ts'

/** One attempt at a restore, or at its confirmation or undoing, from claim to end. Throws what made it fail, so that the job shows red. */
export async function processRestore(context: WorkerContext, job: BellJob): Promise<string> {
  const { catalog, config, owner, clock, log } = context
  const leaseSeconds = config.COFFER_LEASE_SECONDS
  const claim = await claimRestore(catalog, { ...job.data, owner, leaseSeconds, now: clock() })
  if ('refused' in claim) {
    if (claim.refused !== 'stale') return 'waits: something else is under way with the same target'
    refuseRetry(job, 'restore', 'coffer restore <backup>')
    return 'nothing to do'
  }
  const restore = claim.claimed
  const life = liveFor(context, restore)
  log.info({ restore: restore.id, attempt: restore.attempt, action: restore.action }, 'restore claimed')
  reached('restore-claimed', { restore: restore.id })
  try {
    return await (restore.action === 'restore' ? restoreTarget : settleKept)(context, restore, life)
  } catch (thrown) {
    const error = toCofferError(life.signal.aborted ? life.signal.reason : thrown)
    await life.end()
    if (error.code === 'RUN_FENCED') throw error
    if (error.code === 'WORKER_STOPPED') {
      await requeueRestore(catalog, restore)
      return error.message
    }
    return await endUnrestored(context, restore, error)
  } finally {
    await life.end()
    context.ringer.nudge()
  }
}

/** Whatever ends this, and wherever: the target is the old state or the new one, or `recover` makes it so. */
async function restoreTarget(context: WorkerContext, restore: ClaimedRestore, life: Life): Promise<string> {
  const { catalog, config, clock } = context
  const target = await openTarget(context, restore)
  if (restore.mayHaveLeftovers && (await target.recover(life)) === 'restored')
    return endRestored(context, restore, target, null)
  requireWanted(restore)
  await target.requireKey()
  await recoverUnfinished(context, restore, target, life)

  life.report({ step: 'preflight' })
  const [found, preflightSeconds] = await timed(() => target.preflight(life))
  // What an earlier attempt found empty may hold by now what that attempt has restored.
  const wasEmpty = found.isEmpty || restore.preflight?.is_empty === true
  requireSound(restore, { ...found, isEmpty: wasEmpty })
  const preflight = {
    is_empty: wasEmpty,
    keeps_old_state: found.keepsOldState,
    method: found.method,
    left_out: found.leftOut,
  }
  const protection = protectionOf(restore, found)
  if (protection.needed) {
    const request = { preflight, maxTries: config.COFFER_MAX_TRIES, now: clock() }
    const backup = await awaitSafetyBackup(catalog, restore, request)
    reached('restore-waits', { restore: restore.id })
    return `waits for the safety backup ${backup}`
  }

  await recordPreflight(catalog, restore, preflight)
  life.report({ step: 'restoring' })
  reached('restore-checked', { restore: restore.id })
  const [report, restoreSeconds] = await timed(() => target.restore(life, found))
  reached('restore-done', { restore: restore.id })
  return endRestored(context, { ...restore, preflight }, target, {
    ...report,
    safety_backup: protection.how,
    seconds: { preflight: preflightSeconds, safety_backup: protection.seconds, restore: restoreSeconds },
  })
}

/** Only now that nothing of an earlier attempt is left: whether there is to be another one. @throws RUN_CANCELLED, RUN_ABANDONED */
function requireWanted({ id, cancelRequested, triesLeft }: ClaimedRestore): void {
  if (cancelRequested) throw new CofferError('RUN_CANCELLED', `restore ${id}: it was cancelled on request`)
  if (triesLeft > 0) return
  throw new CofferError('RUN_ABANDONED', `restore ${id}: each of its workers died; the target is as it was before`)
}

/** What restores whose workers all died have left in the same target is neither to be backed up nor to be restored over. */
async function recoverUnfinished(
  { catalog, clock }: WorkerContext,
  restore: ClaimedRestore,
  target: OpenTarget,
  life: Life,
): Promise<void> {
  for (const id of await listUnfinishedRestores(catalog, restore.target.id)) {
    life.report({ step: 'cleaning up' })
    const state = await target.recover(life, id)
    await recordRecovered(catalog, id, { state, now: clock() })
  }
}

async function timed<T>(work: () => Promise<T>): Promise<[T, number]> {
  const startedAt = performance.now()
  const result = await work()
  return [result, Math.round(performance.now() - startedAt) / 1000]
}
