import { endSettlement } from '../../shared/catalog/restore-ends.ts'
import type { ClaimedRestore } from '../../shared/catalog/restore-runs.ts'
import { CofferError } from '../../shared/errors.ts'
import type { Life } from '../life.ts'
import { persistently } from '../persistently.ts'
import type { WorkerContext } from '../run-processor.ts'
import { openTarget } from './open-target.ts'

/** Removes what was kept of the old state, or brings it back. May be done twice, so a killed attempt is followed by another. */
export async function settleKept(context: WorkerContext, restore: ClaimedRestore, life: Life): Promise<string> {
  const { catalog, config, clock } = context
  if (restore.triesLeft === 0)
    throw new CofferError('RUN_ABANDONED', `restore ${restore.id}: each worker that was to ${restore.action} it died`)
  const target = await openTarget(context, restore)
  life.report({ step: restore.action })
  await (restore.action === 'confirm' ? target.confirm(life) : target.undo(life))
  await persistently(
    () => endSettlement(catalog, restore, { error: null, kept: false, now: clock() }),
    AbortSignal.timeout(config.COFFER_LEASE_SECONDS * 1000),
  )
  return restore.action === 'confirm' ? 'confirmed' : 'undone'
}
