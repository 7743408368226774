import { forgetOldEvents } from '../../shared/catalog/events.ts'
import { recordReconciled } from '../../shared/catalog/heartbeats.ts'
import { ringSinksDue } from '../../shared/catalog/notification-deliveries.ts'
import { ringBackupsDue, ringVerificationsDue } from '../../shared/catalog/outbox.ts'
import { ringPrunesDue } from '../../shared/catalog/prune-bells.ts'
import { ringRestoresDue } from '../../shared/catalog/restore-bells.ts'
import { settleLapsedRestores } from '../restore/settle-lapsed.ts'
import { endExpiredUploads } from '../../shared/catalog/uploads.ts'
import { CofferError } from '../../shared/errors.ts'
import { runError } from '../run-error.ts'
import type { WorkerContext } from '../run-processor.ts'
import { settleLapsedRuns } from '../settle.ts'
import { fireDueSchedules } from './fire-schedules.ts'
import { scheduleVerifications } from './schedule-verifications.ts'
import { watchSchedules } from './watch-schedules.ts'

/**
 * Makes true what should be true by now, from the catalog alone: restores of dead workers are queued again, uploads that nobody finished are
 * ended, schedules and verifications that are due are fired, bells that Redis lost are rung again. Every worker calls it; an advisory lock
 * lets one of them do the work.
 */
export async function reconcile(context: WorkerContext): Promise<void> {
  await context.catalog.exclusively('coffer reconcile', async () => {
    await settleLapsedRestores(context)
    await endExpiredUploads(context.catalog, expired(context.clock()), context.clock())
    await fireDueSchedules(context)
    await scheduleVerifications(context)
    await ringBackupsDue(context.catalog)
    await ringRestoresDue(context.catalog)
    await ringVerificationsDue(context.catalog)
    await ringSinksDue(context.catalog)
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

const expired = (now: Date) =>
  runError(new CofferError('UPLOAD_EXPIRED', 'it was not sent and finished before it expired'), 0, now)
