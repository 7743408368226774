import { listStaleStates, recordState, type StaleState } from '../../shared/catalog/state-files.ts'
import { STATE_NAME } from '../../shared/domain/manifest.ts'
import { writeText } from '../../shared/storage/text-objects.ts'
import { encodeState } from '../state-file.ts'
import type { PruneContext, PruneFailure } from './prune-environment.ts'

/** Writes state.json wherever the catalog says something else by now. One that can't be written stops no other. */
export async function writeStates(context: PruneContext, environmentId: string): Promise<PruneFailure[]> {
  const failures: PruneFailure[] = []
  for (const stale of await listStaleStates(context.catalog, environmentId)) {
    if (context.stop.aborted) break
    try {
      await writeState(context, stale)
    } catch (error) {
      context.log.warn({ serviceInstanceBackup: stale.id, err: error }, 'a state.json could not be written')
      failures.push({ id: stale.id, error })
    }
  }
  return failures
}

async function writeState({ catalog, stores, clock, stop }: PruneContext, stale: StaleState): Promise<void> {
  const text = encodeState(stale.id, stale.state, clock())
  await writeText(stores.open(stale.storeUrl), `${stale.keyPrefix}${STATE_NAME}`, text, stop)
  await recordState(catalog, stale)
}
