import { loadWorkerConfig } from '../../shared/config.ts'
import { openLog } from '../../shared/log.ts'
import { listen } from '../../workers/listen.ts'
import type { WorkerContext } from '../../workers/run-processor.ts'
import type { TestCoffer } from './coffer.ts'

/** A worker inside the test's own process, which lives at the time that the test says. It ticks only when the test does. */
export interface ClockedWorker extends AsyncDisposable {
  readonly context: WorkerContext
  now: Date
}

export interface ClockedWorkerOptions {
  now: Date
  /** Answers the queues through Redis; without it, only what the test calls happens. */
  listens?: boolean
}

export async function startClockedWorker(coffer: TestCoffer, options: ClockedWorkerOptions): Promise<ClockedWorker> {
  await using scope = new AsyncDisposableStack()
  const stop = new AbortController()
  const clock = { now: options.now }
  const context: WorkerContext = {
    catalog: coffer.catalog,
    config: loadWorkerConfig(coffer.env),
    secrets: coffer.secrets,
    stores: { open: () => coffer.store, [Symbol.dispose]: () => undefined },
    queues: coffer.queues,
    ringer: coffer.ringer,
    clock: () => clock.now,
    log: openLog('test worker', 'silent'),
    owner: 'clocked worker',
    stop: stop.signal,
  }
  if (options.listens) {
    const listeners = listen(context)
    scope.defer(() => listeners.close())
  }
  scope.defer(() => stop.abort())
  const kept = scope.move()
  return {
    context,
    get now() {
      return clock.now
    },
    set now(time) {
      clock.now = time
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}
