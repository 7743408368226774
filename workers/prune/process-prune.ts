import { ringPrune } from '../../shared/catalog/prune-bells.ts'
import { isUuid } from '../../shared/catalog/scope.ts'
import { CofferError } from '../../shared/errors.ts'
import type { BellJob, WorkerContext } from '../run-processor.ts'
import { pruneEnvironment } from './prune-environment.ts'

const BUSY_SECONDS = 10

/**
 * Prunes the environment of the bell, by what the catalog says now: a bell that is old or was made up does nothing else than that.
 * @returns what became of it, for Bull Board
 * @throws PRUNE_INCOMPLETE when something could not be deleted or written
 */
export async function processPrune(context: WorkerContext, { data: { id } }: BellJob): Promise<string> {
  if (!isUuid(id)) return `nothing to do: there is no environment ${id}`
  const { outcome, stoppedReason, deleted, failures } = await pruneEnvironment(context, id, { dryRun: false })
  if (outcome === 'unknown') return `nothing to do: there is no environment ${id}`
  if (outcome === 'busy') {
    await ringPrune(context.catalog, id, { delaySeconds: BUSY_SECONDS })
    context.ringer.nudge()
    return 'waits: another prune of this environment is under way'
  }
  const [first] = failures
  if (first)
    throw new CofferError(
      'PRUNE_INCOMPLETE',
      `${failures.length} service-instance backup(s) could not be pruned, ${first.id} first; ${deleted.length} were deleted`,
      { cause: first.error, details: { failed: failures.map((failure) => failure.id), deleted } },
    )
  if (stoppedReason !== null) return `stopped: ${stoppedReason}`
  return `deleted ${deleted.length}`
}
