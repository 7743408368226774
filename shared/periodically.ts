import type { Logger } from './log.ts'

export interface Periodic {
  /** Begins no more, and waits for the one under way. */
  close(): Promise<void>
}

/** Runs `work` now and then every so many seconds, never twice at a time. A failure is logged and the next one comes. */
export function periodically(name: string, seconds: number, log: Logger, work: () => Promise<unknown>): Periodic {
  let running: Promise<void> | null = null
  const start = () => {
    running ??= work()
      .then(
        () => undefined,
        (error: unknown) => log.error({ err: error }, `${name} failed; it is tried again in ${seconds} seconds`),
      )
      .finally(() => {
        running = null
      })
  }
  start()
  const timer = setInterval(start, seconds * 1000)
  return {
    async close() {
      clearInterval(timer)
      await running
    },
  }
}
