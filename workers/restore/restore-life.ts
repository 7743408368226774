import { renewRestore, type ClaimedRestore } from '../../shared/catalog/restore-runs.ts'
import { deadlineToRead, startLife, type Life } from '../life.ts'
import type { WorkerContext } from '../run-processor.ts'

export const liveFor = ({ catalog, config, stop, clock, log }: WorkerContext, restore: ClaimedRestore): Life =>
  startLife({
    subject: `restore ${restore.id}`,
    renew: (progress) => renewRestore(catalog, restore, { leaseSeconds: config.COFFER_LEASE_SECONDS, progress }),
    leaseSeconds: config.COFFER_LEASE_SECONDS,
    watchdogSeconds: config.COFFER_WATCHDOG_SECONDS,
    deadlineSeconds: deadlineToRead(config, restore.backupSeconds),
    stop,
    clock,
    log,
  })

/** For cleaning up after what was cancelled or failed: only losing the lease ends it, or being quiet for too long. */
export function liveToCleanUp(context: WorkerContext, restore: ClaimedRestore): Life {
  const life = liveFor({ ...context, stop: new AbortController().signal }, restore)
  life.report({ step: 'cleaning up' })
  life.beginSealing()
  return life
}
