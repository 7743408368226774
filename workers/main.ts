import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { openCatalog } from '../shared/catalog/database.ts'
import { systemClock } from '../shared/clock.ts'
import { loadWorkerConfig, type WorkerConfig } from '../shared/config.ts'
import { toCofferError } from '../shared/errors.ts'
import { openLog, type Logger } from '../shared/log.ts'
import { openQueues } from '../shared/queues.ts'
import { startRinger } from '../shared/ringer.ts'
import { openSecrets } from '../shared/secrets.ts'
import { listen } from './listen.ts'
import type { WorkerContext } from './run-processor.ts'
import { openStores } from '../shared/storage/open-stores.ts'
import { periodically } from './tick/periodically.ts'
import { reconcile } from './tick/reconcile.ts'
import { sweepStores } from './tick/sweep.ts'

/** Runs one worker until it is told to stop. Everything is closed newest first: listeners, ticks, ringer, queues, stores, catalog. */
async function work(config: WorkerConfig, log: Logger, stop: AbortSignal): Promise<void> {
  await using scope = new AsyncDisposableStack()
  const catalog = openCatalog({
    url: config.COFFER_DATABASE_URL,
    maxConnections: 2 * config.COFFER_WORKER_CONCURRENCY + 6,
    onError: (error) => log.warn({ err: error }, 'a connection to the catalog broke'),
  })
  scope.defer(() => catalog.close())
  const stores = scope.use(openStores())
  const queues = openQueues(config.COFFER_REDIS_URL, (error) => log.warn({ err: error }, 'Redis'))
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
  for (const tick of [
    periodically('the reconciler', config.COFFER_RECONCILE_SECONDS, log, () => reconcile(context)),
    periodically('the sweep', config.COFFER_SWEEP_SECONDS, log, () => sweepStores(context)),
  ])
    scope.defer(() => tick.close())
  const listeners = await listen(context)
  scope.defer(() => listeners.close())
  log.info('worker ready')
  await new Promise<void>((resolve) => {
    if (stop.aborted) resolve()
    stop.addEventListener('abort', () => resolve(), { once: true })
  })
  log.info('worker stops: its runs go back to the queue')
}

function stopOnSignal(log: Logger): AbortSignal {
  const controller = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      if (controller.signal.aborted) {
        log.warn('second signal: the worker ends at once')
        process.exit(1)
      }
      controller.abort()
    })
  return controller.signal
}

try {
  const config = loadWorkerConfig(process.env)
  const log = openLog('worker', config.COFFER_LOG_LEVEL)
  await work(config, log, stopOnSignal(log))
  // A transfer that did not end in time must not keep the process: its lease lapses, and another worker takes the run up.
  process.exit()
} catch (thrown) {
  const error = toCofferError(thrown)
  process.stderr.write(`coffer worker: ${error.message}\n  ${error.remedy}\n`)
  process.exitCode = 1
}
