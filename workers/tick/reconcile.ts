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

type Step = (context: WorkerContext) => Promise<unknown>

const STEPS: Record<string, Step> = {
  'restores of dead workers': settleLapsedRestores,
  'uploads that nobody finished': ({ catalog, clock }) => endExpiredUploads(catalog, expired(clock()), clock()),
  'schedules that are due': fireDueSchedules,
  'verifications that are due': scheduleVerifications,
  'bells of backups': ({ catalog }) => ringBackupsDue(catalog),
  'bells of restores': ({ catalog }) => ringRestoresDue(catalog),
  'bells of verifications': ({ catalog }) => ringVerificationsDue(catalog),
  'bells of sinks': ({ catalog }) => ringSinksDue(catalog),
  'bells of prunes': ({ catalog, clock }) => ringPrunesDue(catalog, clock()),
  'bells and alerts of schedules': watchSchedules,
  'old events': ({ catalog, clock }) => forgetOldEvents(catalog, clock()),
}

/**
 * Makes true what should be true by now, from the catalog alone: what dead workers and uploaders left is ended, what is due is fired, bells
 * that Redis lost are rung again. Every worker calls it; an advisory lock lets one of them do the work. A step that fails stops no other,
 * but the reconciler does not count as having come to its end.
 */
export async function reconcile(context: WorkerContext): Promise<void> {
  const { catalog, log, owner, ringer } = context
  await catalog.exclusively('coffer reconcile', async () => {
    let failures = 0
    for (const [step, work] of Object.entries(STEPS))
      try {
        await work(context)
      } catch (error) {
        failures++
        log.error({ step, err: error }, 'a step of the reconciler failed; the others go on')
      }
    if (failures === 0) await recordReconciled(catalog, owner)
  })
  ringer.nudge()
}

/** Settles the attempts of dead workers. Apart from the rest, since it waits for their stores. */
export async function settle(context: WorkerContext): Promise<void> {
  const settled = await context.catalog.exclusively('coffer settle', () => settleLapsedRuns(context))
  if (settled) context.ringer.nudge()
}

const expired = (now: Date) =>
  runError(new CofferError('UPLOAD_EXPIRED', 'it was not sent and finished before it expired'), 0, now)
