import { raiseAlert, resolveAlert } from '../../shared/catalog/alerts.ts'
import { applyResult } from '../../shared/catalog/verification-results.ts'
import {
  claimVerification,
  endVerification,
  renewVerification,
  requeueVerification,
  type ClaimedVerification,
} from '../../shared/catalog/verification-runs.ts'
import type { VerificationSubject } from '../../shared/catalog/verification-subjects.ts'
import { CofferError, toCofferError } from '../../shared/errors.ts'
import { readIdentities } from '../../shared/identities.ts'
import { reached } from '../../shared/steps.ts'
import { deadlineToRead, startLife, type Life } from '../life.ts'
import { persistently } from '../persistently.ts'
import { runError } from '../run-error.ts'
import { refuseRetry } from '../refuse-retry.ts'
import type { BellJob, WorkerContext } from '../run-processor.ts'
import type { Verdict } from './judge.ts'
import { verifyEnvironment } from './verify-environment.ts'
import { verifyPart } from './verify-part.ts'

/** One verification, from claim to end. Throws what was found wrong, so that the job shows red. @returns what became of it, for Bull Board */
export async function processVerify(context: WorkerContext, job: BellJob): Promise<string> {
  const { catalog, config, owner, clock, log } = context
  const leaseSeconds = config.COFFER_LEASE_SECONDS
  const gone = runError(new CofferError('CONFLICT', 'it is being deleted, or was'), job.data.attempt, clock())
  const claim = await claimVerification(catalog, { ...job.data, owner, leaseSeconds, gone, now: clock() })
  if ('refused' in claim) {
    if (claim.refused === 'gone') return 'nothing to do: it is being deleted'
    refuseRetry(job, 'verification', 'coffer verify <backup>')
    return 'nothing to do: another bell was faster'
  }
  const verification = claim.claimed
  const life = startLife({
    subject: `verification ${verification.id}`,
    renew: (progress) => renewVerification(catalog, verification, { leaseSeconds, progress }),
    leaseSeconds,
    watchdogSeconds: config.COFFER_WATCHDOG_SECONDS,
    deadlineSeconds: deadlineToRead(config, verification.subject?.seconds ?? 0),
    stop: context.stop,
    clock,
    log,
  })
  const subject = { verification: verification.id, level: verification.level }
  log.info(subject, 'verification claimed')
  reached('after-claim', subject)
  try {
    const { outcome, error } = await carryOut(context, verification, life)
    if (error === null) return outcome
    log.warn({ ...subject, code: error.code, err: error }, 'a verification did not pass')
    throw error
  } catch (thrown) {
    const error = life.signal.aborted ? toCofferError(life.signal.reason) : toCofferError(thrown)
    if (error.code !== 'WORKER_STOPPED') throw error
    await requeueVerification(catalog, verification)
    return error.message
  } finally {
    await life.end()
    context.ringer.nudge()
  }
}

type Found = Pick<Verdict, 'outcome' | 'error'>

/** @returns what was recorded */
async function carryOut(context: WorkerContext, verification: ClaimedVerification, life: Life): Promise<Found> {
  const { subject } = verification
  return subject === null
    ? carryOutEnvironment(context, verification, life)
    : carryOutPart(context, verification, subject, life)
}

async function carryOutPart(
  context: WorkerContext,
  verification: ClaimedVerification,
  subject: VerificationSubject,
  life: Life,
): Promise<Found> {
  const { level } = verification
  const { outcome, report, error } = await verdictOf(context, verification, subject, life)
  const now = context.clock()
  await record(context, verification, { outcome, report, error }, (tx) =>
    applyResult(tx, subject, { level, outcome, message: error?.message ?? '' }, now),
  )
  return { outcome, error }
}

async function verdictOf(
  { stores, secrets, config }: WorkerContext,
  { id, level }: ClaimedVerification,
  subject: VerificationSubject,
  life: Life,
): Promise<Verdict> {
  let bytes = 0
  try {
    const identities = level === 'metadata' ? [] : await readIdentities(config.COFFER_AGE_IDENTITY_FILE)
    const store = stores.open(subject.storeUrl)
    const onBytes = (more: number) => life.report({ plain_bytes: (bytes += more) })
    return await verifyPart({ id, subject, store, secrets, identities, config, signal: life.signal, onBytes }, level)
  } catch (thrown) {
    const error = life.signal.aborted ? toCofferError(life.signal.reason) : toCofferError(thrown)
    if (error.code === 'WORKER_STOPPED' || error.code === 'RUN_FENCED') throw error
    return { outcome: 'unreadable', report: null, error }
  }
}

async function carryOutEnvironment(
  context: WorkerContext,
  verification: ClaimedVerification,
  life: Life,
): Promise<Found> {
  const { environmentId } = verification
  const { outcome, report, unreadable } = await verifyEnvironment(context, environmentId, life)
  const now = context.clock()
  await record(context, verification, { outcome, report, error: unreadable }, (tx) => {
    const alert = { kind: 'verify-unreadable' as const, subject: environmentId }
    if (unreadable === null) return resolveAlert(tx, alert, now)
    const message = `metadata verification of environment ${environmentId}: ${unreadable.message}`
    return raiseAlert(tx, { ...alert, environmentId, message }, now)
  })
  // What is corrupt or lost is told by the alerts of each.
  return { outcome, error: unreadable }
}

/** What was found must be recorded, whatever stops this worker now; if the catalog stays away, the lease lapses and it is done again. */
async function record(
  { catalog, config, clock }: WorkerContext,
  verification: ClaimedVerification,
  { outcome, report, error }: Verdict,
  follow: Parameters<typeof endVerification>[3],
): Promise<void> {
  const now = clock()
  const recorded = error && runError(error, verification.attempt, now)
  await persistently(
    () => endVerification(catalog, verification, { outcome, report, error: recorded, now }, follow),
    AbortSignal.timeout(config.COFFER_LEASE_SECONDS * 1000),
  )
}
