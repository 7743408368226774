import { retryBackup } from '../shared/catalog/backup-requests.ts'
import type { Catalog } from '../shared/catalog/database.ts'
import { recipientsInUse } from '../shared/catalog/recipients.ts'
import { endAttempt, type AttemptEnd } from '../shared/catalog/run-ends.ts'
import { abandonSeal } from '../shared/catalog/seals.ts'
import { claimRun, renewRun, type ClaimedRun } from '../shared/catalog/runs.ts'
import { getServiceInstanceBackup } from '../shared/catalog/service-instance-backups.ts'
import type { Clock } from '../shared/clock.ts'
import type { WorkerConfig } from '../shared/config.ts'
import { decryptConnection, type Connection } from '../shared/connections.ts'
import { backoffSeconds } from '../shared/domain/backoff.ts'
import { CofferError, toCofferError } from '../shared/errors.ts'
import type { Logger } from '../shared/log.ts'
import type { JobData, Queues } from '../shared/queues.ts'
import type { Ringer } from '../shared/ringer.ts'
import type { Secrets } from '../shared/secrets.ts'
import { reached } from '../shared/steps.ts'
import type { Store } from '../shared/storage/store.ts'
import { adoptSealed } from './adopt-sealed.ts'
import { discardOrLeave } from './attempt-objects.ts'
import { startLife, type Life } from './life.ts'
import { persistently } from './persistently.ts'
import { runError } from './run-error.ts'
import { sealRun, type TakenBackup } from './seal.ts'
import type { Stores } from '../shared/storage/open-stores.ts'

/** What every processor of a worker is given. */
export interface WorkerContext {
  catalog: Catalog
  config: WorkerConfig
  secrets: Secrets
  stores: Stores
  queues: Queues
  ringer: Ringer
  clock: Clock
  log: Logger
  /** Names this process in leases. */
  owner: string
  /** Aborts when the worker is told to stop. */
  stop: AbortSignal
}

export interface TakeContext {
  run: ClaimedRun
  connection: Connection
  store: Store
  /** Whom the artifacts are encrypted for: the same in all of them, and in the manifest. */
  recipients: readonly string[]
  /** Without those that the environment names: `recipients` are those in use. */
  config: Omit<WorkerConfig, 'COFFER_AGE_RECIPIENTS'>
  clock: Clock
  life: Life
}

/** Streams one service instance into the store and proves what lies there. */
export type Take = (context: TakeContext) => Promise<TakenBackup>

export interface BellJob {
  data: JobData
  /** More than 0: this job had ended before, and somebody pressed Retry on it. */
  attemptsMade: number
}

/** One attempt, from claim to end. Throws what made it fail, so that the job shows red. @returns what became of it, for Bull Board */
export async function processRun(context: WorkerContext, take: Take, job: BellJob): Promise<string> {
  const { catalog, config, owner, clock, log } = context
  const claim = await claimRun(catalog, { ...job.data, owner, leaseSeconds: config.COFFER_LEASE_SECONDS, now: clock() })
  if ('refused' in claim) {
    if (claim.refused === 'stale' && job.attemptsMade > 0) return retryByHand(context, job)
    return claim.refused === 'stale' ? 'nothing to do: another bell was faster' : 'waits: another run is under way'
  }
  const run = claim.claimed
  const life = liveFor(context, run)
  log.info({ run: run.id, attempt: run.attempt }, 'run claimed')
  reached('after-claim', { run: run.id, attempt: run.attempt })
  let isPlaceFree = false
  try {
    if (await isSealedAlready(context, run)) return 'sealed: it lay in the store already'
    isPlaceFree = true
    await takeAndSeal(context, take, run, life)
    log.info({ run: run.id, attempt: run.attempt }, 'run sealed')
    return 'sealed'
  } catch (thrown) {
    const error = life.signal.aborted ? toCofferError(life.signal.reason) : toCofferError(thrown)
    log.warn({ run: run.id, attempt: run.attempt, code: error.code, err: error }, 'run ended without a seal')
    await endRun(context, run, error, { isPlaceFree, isSealing: life.isSealing })
    if (error.code === 'RUN_CANCELLED' || error.code === 'WORKER_STOPPED') return error.message
    throw error
  } finally {
    await life.end()
    context.ringer.nudge()
  }
}

function liveFor({ catalog, config, stop, clock, log }: WorkerContext, run: ClaimedRun): Life {
  const usual = run.last?.duration_seconds ?? 0
  return startLife({
    subject: `service-instance backup ${run.id}`,
    renew: (progress) => renewRun(catalog, run, { leaseSeconds: config.COFFER_LEASE_SECONDS, progress }),
    leaseSeconds: config.COFFER_LEASE_SECONDS,
    watchdogSeconds: config.COFFER_WATCHDOG_SECONDS,
    deadlineSeconds: Math.max(config.COFFER_DEADLINE_SECONDS, 3 * usual),
    stop,
    clock,
    log,
  })
}

/** Where the catalog is an older copy of itself, the store may be further: then nothing is overwritten. @throws STORE_OCCUPIED */
async function isSealedAlready(context: WorkerContext, run: ClaimedRun): Promise<boolean> {
  const found = await adoptSealed(context, context.stores.open(run.store.url), run)
  if (found === 'foreign')
    throw new CofferError('STORE_OCCUPIED', `a manifest that is not this attempt's lies in ${run.keyPrefix} already`)
  return found === 'adopted'
}

async function takeAndSeal(context: WorkerContext, take: Take, run: ClaimedRun, life: Life): Promise<void> {
  const { catalog, secrets, stores, config, clock } = context
  const store = stores.open(run.store.url)
  const connection = decryptConnection(secrets, run.serviceInstance.id, run.serviceInstance.connection)
  const recipients = await recipientsInUse(catalog, config.COFFER_AGE_RECIPIENTS)
  const taken = await take({ run, connection, store, recipients, config, clock, life })
  life.signal.throwIfAborted()
  life.beginSealing()
  await sealRun({ ...context, recipients, store, signal: life.signal }, run, taken)
}

/**
 * Cleans up and tells the catalog. Nothing is deleted where the place was not seen to be free: a sealed backup of an older copy of the
 * catalog may lie there. What can't be done now is done by the reconciler when the lease has lapsed.
 */
async function endRun(
  context: WorkerContext,
  run: ClaimedRun,
  error: CofferError,
  { isPlaceFree, isSealing }: { isPlaceFree: boolean; isSealing: boolean },
): Promise<void> {
  if (error.code === 'RUN_FENCED') return
  const { catalog, config, clock, log } = context
  const grace = AbortSignal.timeout(config.COFFER_LEASE_SECONDS * 1000)
  try {
    if ((await persistently(() => abandonSeal(catalog, run), grace)) === 'fenced') return
    if (isPlaceFree) await discardOrLeave(context, { ...run, storeUrl: run.store.url, mayHaveManifest: isSealing })
    await persistently(() => endAttempt(catalog, run, endOf(context, run, error, clock())), grace)
  } catch (failure) {
    log.warn({ run: run.id, attempt: run.attempt, err: failure }, 'the run is left to the reconciler')
  }
}

function endOf({ config }: WorkerContext, run: ClaimedRun, error: CofferError, now: Date): AttemptEnd {
  const recorded = runError(error, run.attempt, now)
  if (error.code === 'RUN_CANCELLED') return { next: 'cancel', error: null, delaySeconds: 0, now }
  if (error.code === 'WORKER_STOPPED') return { next: 'requeue', error: null, delaySeconds: 0, now }
  if (error.retry === 'never') return { next: 'fail', error: recorded, delaySeconds: 0, now }
  const delaySeconds = backoffSeconds(run.attempt, config.COFFER_RETRY_SECONDS, Math.random())
  return { next: 'retry', error: recorded, delaySeconds, now }
}

/** Bull Board's Retry button on a job that had failed: does what `POST …/retry/` does, or fails with its reason. */
async function retryByHand(context: WorkerContext, job: BellJob): Promise<string> {
  const scope = { organisationId: null }
  const { backup } = await getServiceInstanceBackup(context.catalog, job.data.id, scope)
  await retryBackup(context.catalog, backup, scope, { maxTries: context.config.COFFER_MAX_TRIES, now: context.clock() })
  context.ringer.nudge()
  return `backup ${backup} is queued again`
}
