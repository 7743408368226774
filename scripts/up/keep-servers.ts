import { setTimeout as delay } from 'node:timers/promises'

const LOOK_MS = 1_000

export interface Keeper {
  /** Rejects when a server that died cannot be started again; never resolves. */
  givenUp: Promise<never>
  /** Looks no more. Resolves when nothing is being started. */
  stop(): Promise<void>
}

/** Looks every second after servers, by a function that starts again those that have died. */
export function keepServers(revive: () => Promise<void>): Keeper {
  const stopping = new AbortController()
  const givenUp = Promise.withResolvers<never>()
  givenUp.promise.catch(() => undefined)
  const look = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await revive()
      await delay(LOOK_MS, undefined, { signal: stopping.signal }).catch(() => undefined)
    }
  }
  const over = look().catch((error: unknown) => givenUp.reject(error))
  return {
    givenUp: givenUp.promise,
    stop() {
      stopping.abort()
      return over
    },
  }
}
