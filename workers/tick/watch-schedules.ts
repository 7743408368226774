import { resolveMissedAlerts } from '../../shared/catalog/occurrences.ts'
import { syncOverdueAlerts } from '../../shared/catalog/overdue.ts'
import { listLiveSchedules } from '../../shared/catalog/schedules.ts'
import { hangBells } from '../../shared/schedules/bells.ts'
import type { WorkerContext } from '../run-processor.ts'

/** Hangs the bells that Redis lost, takes down those of schedules that are no more, and keeps the alerts about schedules true. */
export async function watchSchedules(
  context: Pick<WorkerContext, 'catalog' | 'clock' | 'log' | 'queues'>,
): Promise<void> {
  const { catalog, clock, log } = context
  await syncOverdueAlerts(catalog, clock())
  await resolveMissedAlerts(catalog, clock())
  // Without Redis the reconciler has fired what was due, and hangs the bells another time.
  if (!context.queues.isReachable()) return
  try {
    const { rehung, removed, failures } = await hangBells(context.queues.tick, await listLiveSchedules(catalog))
    if (rehung + removed > 0) log.info({ rehung, removed }, 'the bells of schedules were put right')
    if (failures.length > 0)
      log.warn(
        { failures: failures.length, err: failures[0] },
        'some bells of schedules are missing; the reconciler fires instead',
      )
  } catch (error) {
    log.warn({ err: error }, 'the bells of schedules could not be looked at; the reconciler fires instead')
  }
}
