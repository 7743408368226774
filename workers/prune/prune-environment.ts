import { raiseAlert } from '../../shared/catalog/alerts.ts'
import { beginDeletion, finishDeletion, listDeletions, type Deletion } from '../../shared/catalog/deleting.ts'
import { policyOf } from '../../shared/catalog/plans.ts'
import { applyLabels, beginPrune, recordPruned, stopPruning, type PruningState } from '../../shared/catalog/pruning.ts'
import {
  loadRetention,
  retentionView,
  viewOf,
  type InstanceBackups,
  type InstanceRetention,
} from '../../shared/catalog/retention.ts'
import type { RetentionPolicy } from '../../shared/domain/retention/policy.ts'
import { CofferError, toCofferError } from '../../shared/errors.ts'
import { findAgain } from '../../shared/retention/check-store.ts'
import { guardAgainst } from '../../shared/retention/guards.ts'
import { reached } from '../../shared/steps.ts'
import type { WorkerContext } from '../run-processor.ts'
import { deleteObjects } from './delete-objects.ts'
import { writeStates } from './write-states.ts'

export type PruneContext = Pick<WorkerContext, 'catalog' | 'stores' | 'clock' | 'log' | 'stop'>

/** A service-instance backup with which something could not be done this time. */
export interface PruneFailure {
  id: string
  error: unknown
}

export interface PruneReport {
  /** `busy`: another prune of this environment is under way; `unknown`: there is no such environment. */
  outcome: 'pruned' | 'stopped' | 'busy' | 'unknown'
  /** Why a guard has stopped it. */
  stoppedReason: string | null
  /** What was decided, or in a dry run what would be. */
  plan: InstanceRetention[]
  /** Ids of service-instance backups: those that are gone now, and those that are not yet. */
  deleted: string[]
  failures: PruneFailure[]
}

const nothing = (outcome: PruneReport['outcome'], stoppedReason: string | null = null): PruneReport => ({
  outcome,
  stoppedReason,
  plan: [],
  deleted: [],
  failures: [],
})

/**
 * Carries out the plan of one environment: finishes what an earlier prune had begun, asks the guards, gives labels, deletes, and lets
 * state.json follow. May be killed anywhere and run again. One that can't be deleted stops no other.
 */
export async function pruneEnvironment(
  context: PruneContext,
  environmentId: string,
  { dryRun }: { dryRun: boolean },
): Promise<PruneReport> {
  const { catalog, clock } = context
  if (dryRun) return { ...nothing('pruned'), plan: await retentionView(catalog, environmentId, { now: clock() }) }
  const report = await catalog.exclusively(`coffer prune ${environmentId}`, async () => {
    const state = await beginPrune(catalog, environmentId, clock())
    return state ? prune(context, environmentId, state) : nothing('unknown')
  })
  return report ?? nothing('busy')
}

async function prune(context: PruneContext, environmentId: string, state: PruningState): Promise<PruneReport> {
  const { catalog, clock } = context
  const report = nothing('pruned')
  for (const begun of await listDeletions(catalog, environmentId)) {
    if (context.stop.aborted) return report
    await finish(context, environmentId, begun, report)
  }
  await findAgain(context, environmentId)
  const now = clock()
  const policy = await policyOf(catalog, environmentId)
  const instances = await loadRetention(catalog, environmentId)
  const stoppedReason = await guard(context, { environmentId, policy, instances, state, now })
  if (stoppedReason !== null) return { ...report, outcome: 'stopped', stoppedReason }

  report.plan = instances.map((instance) => viewOf(instance, policy, now))
  const verdicts = report.plan.flatMap((instance) => instance.verdicts)
  await applyLabels(
    catalog,
    verdicts.filter(({ action, label, current_label }) => action === 'keep' && label !== current_label),
  )
  reached('prune-labelled')
  // Oldest first: whatever ends this half way, what is newest is there.
  for (const { id, reason } of verdicts.filter(({ action }) => action === 'delete').reverse()) {
    if (context.stop.aborted) return report
    const begun = await beginDeletion(catalog, { id, reason })
    if (!begun) continue
    reached('prune-deleting', { id })
    await finish(context, environmentId, begun, report)
  }
  report.failures.push(...(await writeStates(context, environmentId)))
  await recordPruned(catalog, environmentId, now)
  return report
}

async function guard(
  { catalog }: PruneContext,
  prune: {
    environmentId: string
    policy: RetentionPolicy
    instances: readonly InstanceBackups[]
    state: PruningState
    now: Date
  },
): Promise<string | null> {
  const { environmentId, policy, instances, state, now } = prune
  if (state.stoppedReason !== null) return state.stoppedReason
  if (state.allowedAt !== null) return null
  const backups = instances.map((instance) => instance.backups)
  const moments = backups.flat().flatMap(({ at, sealedAt }) => [at.getTime(), sealedAt?.getTime() ?? 0])
  const newestAt = moments.length === 0 ? null : new Date(Math.max(...moments))
  const reason = guardAgainst(policy, backups, { now, lastPrunedAt: state.lastPrunedAt, newestAt })
  if (reason !== null) await stopPruning(catalog, environmentId, reason, now)
  return reason
}

async function finish(
  { catalog, stores, clock, log }: PruneContext,
  environmentId: string,
  deletion: Deletion,
  report: PruneReport,
): Promise<void> {
  const { id, storeUrl, keyPrefix } = deletion
  try {
    if (keyPrefix !== null) {
      if (storeUrl === null)
        throw new CofferError('INTERNAL', `nobody knows the store of service-instance backup ${id}`)
      await deleteObjects(stores.open(storeUrl), { ...deletion, keyPrefix })
    }
    await finishDeletion(catalog, id, clock())
    report.deleted.push(id)
  } catch (error) {
    report.failures.push({ id, error })
    log.error({ serviceInstanceBackup: id, err: error }, 'a backup could not be deleted; the next prune tries again')
    const message = `service-instance backup ${id} could not be deleted: ${toCofferError(error).message}`
    await raiseAlert(catalog, { kind: 'prune-failed', subject: id, environmentId, message }, clock())
  }
}
