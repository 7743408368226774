import { monitorEventLoopDelay } from 'node:perf_hooks'
import { recordBeat } from '../../shared/catalog/heartbeats.ts'
import { findPostgresClients } from '../../shared/postgres/clients.ts'
import type { WorkerContext } from '../run-processor.ts'

/** Says every few seconds that this worker lives, what it can dump, and how late its event loop has been since it last said so. */
export function signOfLife({ catalog, owner }: Pick<WorkerContext, 'catalog' | 'owner'>): () => Promise<void> {
  const delay = monitorEventLoopDelay()
  delay.enable()
  return async () => {
    const clients = await findPostgresClients()
    const eventLoopP99Seconds = takeP99(delay)
    await recordBeat(catalog, owner, { postgresMajors: clients.map(({ major }) => major), eventLoopP99Seconds })
  }
}

/** null: nothing was measured since. */
function takeP99(delay: ReturnType<typeof monitorEventLoopDelay>): number | null {
  const seconds = delay.count === 0 ? null : delay.percentile(99) / 1e9
  delay.reset()
  return seconds
}
