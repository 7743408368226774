import { endRestore, endSettlement, listEndedRestores } from '../../shared/catalog/restore-ends.ts'
import { recordOf, type ClaimedRestore } from '../../shared/catalog/restore-runs.ts'
import type { WorkerConfig } from '../../shared/config.ts'
import { CofferError } from '../../shared/errors.ts'
import { reached } from '../../shared/steps.ts'
import { persistently } from '../persistently.ts'
import { runError } from '../run-error.ts'
import type { WorkerContext } from '../run-processor.ts'
import { openTarget, type OpenTarget } from './open-target.ts'
import { liveToCleanUp } from './restore-life.ts'

/** What is in the target stays there, whatever stops this worker now: the catalog is told as long as the lease may last. */
const graceOf = (config: WorkerConfig) => AbortSignal.timeout(config.COFFER_LEASE_SECONDS * 1000)

const NOTHING_KNOWN = { method: 'unknown', left_out: [], keeps_old_state: false }

/** `report` null: an earlier attempt came through, and its worker died before it could tell. @throws RUN_FENCED */
export async function endRestored(
  context: WorkerContext,
  restore: ClaimedRestore,
  target: OpenTarget,
  report: Record<string, unknown> | null,
): Promise<string> {
  const { catalog, config, clock, log } = context
  const { method, left_out, keeps_old_state: kept } = restore.preflight ?? NOTHING_KNOWN
  const end = {
    success: 'SUCCESS' as const,
    report: { method, left_out, ...(report ?? { recovered: true }) },
    error: null,
    kept,
    now: clock(),
  }
  const ended = await persistently(() => endRestore(catalog, restore, end), graceOf(config))
  if (ended === 'fenced') throw new CofferError('RUN_FENCED', `restore ${restore.id}: another worker has taken it over`)
  log.info({ restore: restore.id, attempt: restore.attempt }, 'restored')
  await forgetEnded(context, restore, target)
  return 'restored'
}

/** Only what the catalog knows; where that is not possible now, it is done after a later restore into the same target. */
async function forgetEnded(
  { catalog, log }: WorkerContext,
  restore: ClaimedRestore,
  target: OpenTarget,
): Promise<void> {
  reached('restore-ended', { restore: restore.id })
  try {
    await target.forget(await listEndedRestores(catalog, restore.target.id))
  } catch (error) {
    log.warn({ restore: restore.id, err: error }, 'the marks of ended restores could not be removed from the target')
  }
}

/**
 * Cleans up and tells the catalog. What can't be done now is done by the next attempt, when the lease has lapsed.
 * @throws the error, unless it is a cancel, or the restore turns out to have come through
 */
export async function endUnrestored(
  context: WorkerContext,
  restore: ClaimedRestore,
  error: CofferError,
): Promise<string> {
  const { log } = context
  const { id, attempt } = restore
  log.warn({ restore: id, attempt, code: error.code, err: error }, 'restore failed')
  try {
    if (restore.action !== 'restore') await endUnsettled(context, restore, error)
    else if (await endRecovered(context, restore, error)) return 'restored'
  } catch (failure) {
    log.warn({ restore: id, attempt, err: failure }, 'the restore is left to the next attempt')
    // The next attempt would find it done, and not what this one has found.
    if (error.code === 'RESTORE_MISMATCH') await endFailed(context, restore, error).catch(() => undefined)
  }
  if (error.code === 'RUN_CANCELLED') return error.message
  throw error
}

/** Cleans up in a life of its own, since the restore's has ended. @returns whether the restore turns out to have come through */
async function endRecovered(context: WorkerContext, restore: ClaimedRestore, error: CofferError): Promise<boolean> {
  const { catalog, config } = context
  const record = await persistently(() => recordOf(catalog, restore), graceOf(config))
  if (!record) throw new CofferError('RUN_FENCED', `restore ${restore.id}: another worker has taken it over`)
  if (!record.mayHaveLeftovers) {
    await endFailed(context, restore, error)
    return false
  }
  const target = await openTarget(context, restore)
  const life = liveToCleanUp(context, restore)
  try {
    const state = await target.recover(life)
    // What differs from the record is no success, though it is in.
    const isRestored = state === 'restored' && error.code !== 'RESTORE_MISMATCH'
    if (isRestored) await endRestored(context, { ...restore, ...record }, target, null)
    else {
      await endFailed(context, restore, error)
      await forgetEnded(context, restore, target)
    }
    return isRestored
  } finally {
    await life.end()
  }
}

async function endFailed(
  { catalog, config, clock }: WorkerContext,
  restore: ClaimedRestore,
  error: CofferError,
): Promise<void> {
  const isCancelled = error.code === 'RUN_CANCELLED'
  const now = clock()
  const end = {
    success: isCancelled ? ('CANCELLED' as const) : ('FAILURE' as const),
    report: null,
    error: isCancelled ? null : runError(error, restore.attempt, now),
    kept: false,
    now,
  }
  await persistently(() => endRestore(catalog, restore, end), graceOf(config))
}

/** Of a `confirm` or `undo`: it can be asked for again. */
async function endUnsettled(
  { catalog, config, clock }: WorkerContext,
  restore: ClaimedRestore,
  error: CofferError,
): Promise<void> {
  const now = clock()
  const end = { error: runError(error, restore.attempt, now), kept: true, now }
  await persistently(() => endSettlement(catalog, restore, end), graceOf(config))
}
