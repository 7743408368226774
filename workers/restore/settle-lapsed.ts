import {
  endRestore,
  endSettlement,
  listLapsedRestores,
  requeueLapsedRestore,
} from '../../shared/catalog/restore-ends.ts'
import { CofferError } from '../../shared/errors.ts'
import { runError } from '../run-error.ts'
import type { WorkerContext } from '../run-processor.ts'

/**
 * Queues the restores of dead workers again: the next attempt finishes or undoes what is in the target. One whose workers all died, the last
 * of them while it only cleaned up, ends as a failure that says so, with an alert.
 */
export async function settleLapsedRestores({ catalog, clock, log }: WorkerContext): Promise<void> {
  for (const lapsed of await listLapsedRestores(catalog)) {
    const { id, attempt, action, triesLeft } = lapsed
    const now = clock()
    const failure = (message: string) => runError(new CofferError('RUN_ABANDONED', message), attempt, now)
    log.warn({ restore: id, attempt, action, triesLeft }, 'the worker of a restore died')
    if (triesLeft > 0) {
      await requeueLapsedRestore(catalog, lapsed, failure(`the worker of attempt ${attempt} died or lost the catalog`))
      continue
    }
    const error = failure('every worker died, the last while cleaning up: look at the target before you try again')
    if (action === 'restore') {
      const end = { success: 'FAILURE' as const, report: null, error, kept: false, isUnfinished: true, now }
      await endRestore(catalog, lapsed, end)
    } else await endSettlement(catalog, lapsed, { error, kept: true, now })
  }
}
