import type { Catalog } from './catalog/database.ts'
import { deliverBells } from './catalog/outbox.ts'
import type { Logger } from './log.ts'
import type { Queues } from './queues.ts'

export interface Ringer {
  /** Rings what lies in the outbox, soon. Returns at once, so that no request ever waits for Redis. */
  nudge(): void
  /** Waits for the ringing under way. */
  close(): Promise<void>
}

/** Rings the doorbells of committed work. What it can't ring stays in the outbox for the next nudge or the reconciler. */
export function startRinger({ catalog, queues, log }: { catalog: Catalog; queues: Queues; log: Logger }): Ringer {
  let wanted = false
  let running: Promise<void> | null = null

  async function ringAll(): Promise<void> {
    while (wanted) {
      wanted = false
      try {
        const { more } = await deliverBells(catalog, (bell) => queues.ring(bell))
        wanted ||= more
      } catch (error) {
        log.warn({ err: error }, 'doorbells could not be rung; they stay in the outbox')
      }
    }
    running = null
  }

  return {
    nudge() {
      wanted = true
      running ??= ringAll()
    },
    close: () => running ?? Promise.resolve(),
  }
}
