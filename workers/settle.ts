import { takeOverLapsedRuns, type LapsedRun } from '../shared/catalog/lapses.ts'
import { endAttempt } from '../shared/catalog/run-ends.ts'
import { abandonSeal, finishSeal } from '../shared/catalog/seals.ts'
import { backoffSeconds } from '../shared/domain/backoff.ts'
import { MANIFEST_NAME } from '../shared/domain/manifest.ts'
import { CofferError, toCofferError } from '../shared/errors.ts'
import { decodeManifest } from '../shared/manifest.ts'
import { readText } from '../shared/storage/text-objects.ts'
import { adoptSealed } from './adopt-sealed.ts'
import { discardOrLeave } from './attempt-objects.ts'
import { runError } from './run-error.ts'
import type { WorkerContext } from './run-processor.ts'

/** So long one attempt may take to be settled: a store that hangs keeps no other from it. */
const DEADLINE_MS = 60_000

/**
 * Settles every attempt whose worker died, before the next may begin: its manifest is there and equal, then it is sealed; else it is
 * fenced and its objects deleted. One that had not come to its seal has no manifest, unless the catalog is an older copy: then it is
 * sealed from what lies there, and what is not this run's is left alone. Where the store can't be asked, such a one ends too, since a store
 * that is gone for good would block its service instance: its objects are kept, and the next attempt has another place. What else can't be
 * settled now is left for the next time.
 * @returns how many were settled
 */
export async function settleLapsedRuns(context: WorkerContext, deadlineMs = DEADLINE_MS): Promise<number> {
  const lapsed = await takeOverLapsedRuns(context.catalog, context.config.COFFER_LEASE_SECONDS)
  const settled = lapsed.map(async (run): Promise<boolean> => {
    const subject = { run: run.id, attempt: run.attempt }
    try {
      const how = await within(deadlineMs, settleRun(context, run, deadlineMs / 2))
      context.log.warn({ ...subject, how }, 'a run whose worker died was settled')
      return true
    } catch (error) {
      context.log.error({ ...subject, err: error }, 'a run whose worker died could not be settled yet')
      return false
    }
  })
  return (await Promise.all(settled)).filter(Boolean).length
}

async function settleRun(context: WorkerContext, run: LapsedRun, storeMs: number): Promise<string> {
  if (await sealIfWritten(context, run)) return 'sealed'
  const isUnknown = run.state === 'RUNNING' && run.manifest === null
  const found = isUnknown ? await lookInStore(context, run, storeMs) : 'none'
  return found === 'adopted' ? 'sealed from the store' : abandon(context, run, found !== 'none')
}

async function lookInStore(context: WorkerContext, run: LapsedRun, storeMs: number) {
  const store = context.stores.open(run.storeUrl)
  try {
    await within(storeMs, store.head(`${run.keyPrefix}${MANIFEST_NAME}`))
  } catch (error) {
    const { code } = toCofferError(error)
    if (code !== 'STORE_UNREACHABLE' && code !== 'STORE_REFUSED') throw error
    context.log.warn({ run: run.id, err: error }, 'the store of a run whose worker died can not be asked')
    return 'not known'
  }
  return adoptSealed(context, store, run)
}

/** What comes later changes nothing: the lease lapses, and the next settler's fences it. */
async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new CofferError('STORE_UNREACHABLE', `the store did not answer in ${ms / 1000} s`)),
      ms,
    )
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

async function sealIfWritten({ catalog, secrets, stores, clock }: WorkerContext, run: LapsedRun): Promise<boolean> {
  if (run.state !== 'SEALING' || run.manifest === null) return false
  const found = await readText(stores.open(run.storeUrl), `${run.keyPrefix}${MANIFEST_NAME}`)
  if (found !== run.manifest) return false
  const { success } = decodeManifest(secrets, run.manifest).service_instance_backup
  if (success !== 'SUCCESS' && success !== 'PARTIAL') return false
  return (await finishSeal(catalog, run, { success, now: clock() })) === 'sealed'
}

async function abandon(context: WorkerContext, run: LapsedRun, keepsObjects: boolean): Promise<string> {
  const { catalog, config, clock } = context
  if ((await abandonSeal(catalog, run)) === 'fenced') return 'left to another settler'
  if (!keepsObjects) await discardOrLeave(context, { ...run, mayHaveManifest: run.manifest !== null })
  const error = new CofferError('RUN_ABANDONED', `the worker of attempt ${run.attempt} died or lost the catalog`)
  return endAttempt(catalog, run, {
    next: 'retry',
    error: runError(error, run.attempt, clock()),
    delaySeconds: backoffSeconds(1, config.COFFER_RETRY_SECONDS, Math.random()),
    now: clock(),
  })
}
