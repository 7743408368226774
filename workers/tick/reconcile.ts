import { forgetOldEvents } from '../../shared/catalog/events.ts'
import { recordReconciled } from '../../shared/catalog/heartbeats.ts'
import { ringEverythingDue } from '../../shared/catalog/outbox.ts'
import { ringPrunesDue } from '../../shared/catalog/prune-bells.ts'
import { endLapsedRestores } from '../../shared/catalog/restore-runs.ts'
import { CofferError } from '../../shared/errors.ts'
import { runError } from '../run-error.ts'
import type { WorkerContext } from '../run-processor.ts'
import { settleLapsedRuns } from '../settle.ts'
import { fireDueSchedules } from './fire-schedules.ts'
import { watchSchedules } from './watch-schedules.ts'

/**
 * Makes true what should be true by now, from the catalog alone: restores of dead workers are ended, schedules that are due are fired,
 * bells that Redis lost are rung again. Every worker calls it; an advisory lock lets one of them do the work.
 */
export async function reconcile(context: WorkerContext): Promise<void> {
  await context.catalog.exclusively('coffer reconcile', async () => {
    await endLapsedRestores(context.catalog, (attempt) => abandoned(attempt, context.clock()), context.clock())
    await fireDueSchedules(context)
    await ringEverythingDue(context.catalog)
    await ringPrunesDue(context.catalog, context.clock())
    await watchSchedules(context)
    await forgetOldEvents(context.catalog, context.clock())
    await recordReconciled(context.catalog, context.owner)
  })
  context.ringer.nudge()
}

/** Settles the attempts of dead workers. Apart from the rest, since it waits for their stores. */
export async function settle(context: WorkerContext): Promise<void> {
  const settled = await context.catalog.exclusively('coffer settle', () => settleLapsedRuns(context))
  if (settled) context.ringer.nudge()
}

const abandoned = (attempt: number, now: Date) =>
  runError(
    new CofferError(
      'RUN_ABANDONED',
      'the worker of this restore died; look at the target before you try again: it may be half written',
    ),
    attempt,
    now,
  )
