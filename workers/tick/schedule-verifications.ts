import { requeueLapsedVerifications } from '../../shared/catalog/verification-runs.ts'
import { syncVerificationAlerts } from '../../shared/catalog/verification-overdue.ts'
import { enqueueDueVerifications } from '../../shared/catalog/verification-schedule.ts'
import { CofferError } from '../../shared/errors.ts'
import { runError } from '../run-error.ts'
import type { WorkerContext } from '../run-processor.ts'

/** Takes up the verifications of dead workers, enqueues what plans say is due, and keeps the alerts about what is overdue true. */
export async function scheduleVerifications({ catalog, clock, log }: Pick<WorkerContext, 'catalog' | 'clock' | 'log'>) {
  const now = clock()
  const abandoned = (attempt: number) =>
    runError(
      new CofferError('RUN_ABANDONED', `the worker of attempt ${attempt} died or lost the catalog`),
      attempt,
      now,
    )
  const requeued = await requeueLapsedVerifications(catalog, abandoned, now)
  if (requeued > 0) log.warn({ requeued }, 'verifications whose worker died were taken up')
  const enqueued = await enqueueDueVerifications(catalog, now)
  if (enqueued > 0) log.info({ enqueued }, 'verifications are due')
  await syncVerificationAlerts(catalog, now)
}
