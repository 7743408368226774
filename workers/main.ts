import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { openCatalog } from '../shared/catalog/database.ts'
import { withdrawKeys } from '../shared/catalog/key-reports.ts'
import { systemClock } from '../shared/clock.ts'
import { loadWorkerConfig, type WorkerConfig } from '../shared/config.ts'
import { toCofferError } from '../shared/errors.ts'
import { identitiesIfThere } from '../shared/identities.ts'
import { checkKeys } from '../shared/keys-check.ts'
import { openLog, type Logger } from '../shared/log.ts'
import { openQueues } from '../shared/queues.ts'
import { startRinger } from '../shared/ringer.ts'
import { openSecrets } from '../shared/secrets.ts'
import { withoutRepeats } from '../shared/without-repeats.ts'
import { listen } from './listen.ts'
import type { WorkerContext } from './run-processor.ts'
import { openStores } from '../shared/storage/open-stores.ts'
import { cleanScratch } from './tick/clean-scratch.ts'
import { REPORT_SECONDS, reportOwnKeys } from './tick/report-keys.ts'
import { periodically } from '../shared/periodically.ts'
import { reconcile, settle } from './tick/reconcile.ts'
import { signOfLife } from './tick/show-life.ts'
import { sweepStores } from './tick/sweep.ts'

/** Runs one worker until it is told to stop. Everything is closed newest first: listeners, ticks, ringer, queues, stores, catalog. */
async function work(config: WorkerConfig, log: Logger, stop: AbortSignal): Promise<void> {
  const { COFFER_AGE_RECIPIENTS: recipients, COFFER_AGE_IDENTITY_FILE: identityFile } = config
  // With a key that is none, nothing would ever be written or opened.
  await checkKeys(recipients, await identitiesIfThere(identityFile), identityFile)
  await using scope = new AsyncDisposableStack()
  const catalog = openCatalog({
    url: config.COFFER_DATABASE_URL,
    maxConnections: 2 * config.COFFER_WORKER_CONCURRENCY + 6,
    onError: (error) => log.warn({ err: error }, 'a connection to the catalog broke'),
  })
  scope.defer(() => catalog.close())
  const stores = scope.use(openStores())
  const warnOfRedis = withoutRepeats(
    (error: Error) => log.warn({ err: error }, 'Redis'),
    () => systemClock().getTime(),
  )
  const queues = openQueues(config.COFFER_REDIS_URL, warnOfRedis)
  scope.defer(() => queues.close())
  const ringer = startRinger({ catalog, queues, log })
  scope.defer(() => ringer.close())
  const context: WorkerContext = {
    catalog,
    config,
    stores,
    queues,
    ringer,
    log,
    stop,
    secrets: openSecrets(config.COFFER_SECRET_KEY),
    clock: systemClock,
    owner: `${hostname()} ${process.pid} ${randomUUID()}`,
  }
  scope.defer(() => withdrawKeys(catalog, context.owner).catch(() => undefined))
  for (const tick of [
    periodically('the sign of life', config.COFFER_RECONCILE_SECONDS, log, signOfLife(context)),
    periodically('the reconciler', config.COFFER_RECONCILE_SECONDS, log, () => reconcile(context)),
    periodically('the settler', config.COFFER_RECONCILE_SECONDS, log, () => settle(context)),
    periodically('the cleaner of scratch', config.COFFER_RECONCILE_SECONDS, log, () => cleanScratch(context)),
    periodically('the report of keys', REPORT_SECONDS, log, () => reportOwnKeys(context)),
    periodically('the sweep', config.COFFER_SWEEP_SECONDS, log, () => sweepStores(context)),
  ])
    scope.defer(() => tick.close())
  const listeners = listen(context)
  scope.defer(() => listeners.close())
  const stopped = new Promise((resolve) => stop.addEventListener('abort', resolve, { once: true }))
  await Promise.race([listeners.ready.then(() => log.info('worker ready')), stopped])
  await stopped
  log.info('worker stops: its runs go back to the queue')
}

/** After the first signal all has so many seconds to end. What has not by then is taken up by another worker when its lease has lapsed. */
function stopOnSignal(log: Logger, graceSeconds: number): AbortSignal {
  const controller = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      if (controller.signal.aborted) {
        log.warn('second signal: the worker ends at once')
        process.exit(1)
      }
      setTimeout(() => process.exit(), graceSeconds * 1000).unref()
      controller.abort()
    })
  return controller.signal
}

try {
  const config = loadWorkerConfig(process.env)
  const log = openLog('worker', config.COFFER_LOG_LEVEL)
  await work(config, log, stopOnSignal(log, config.COFFER_STOP_SECONDS))
  // What can't be interrupted, a read of a dead mount for example, must not keep the process.
  process.exit()
} catch (thrown) {
  const error = toCofferError(thrown)
  process.stderr.write(`coffer worker: ${error.message}\n  ${error.remedy}\n`)
  process.exitCode = 1
}
