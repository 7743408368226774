import type { Clock } from '../shared/clock.ts'
import { CofferError } from '../shared/errors.ts'
import type { Actor } from './auth.ts'
import type { ProducerSettings } from './producer.ts'

const WINDOW_MS = 60_000
const MAX_KEYS = 10_000

export interface Counter {
  /** How many seconds until the key may go on; 0: it may now. */
  secondsToWait(key: string): number
  count(key: string): void
}

/** Counts by key, in memory, up to a limit within a minute that begins with the first count. */
export function createCounter(clock: Clock, limit: number): Counter {
  const windows = new Map<string, { count: number; endsAt: number }>()
  return {
    secondsToWait(key) {
      const window = windows.get(key)
      if (!window || window.count < limit) return 0
      return Math.max(0, Math.ceil((window.endsAt - clock().getTime()) / 1000))
    },
    count(key) {
      const now = clock().getTime()
      const window = windows.get(key)
      if (window && window.endsAt > now) window.count++
      else {
        if (windows.size >= MAX_KEYS) windows.clear()
        windows.set(key, { count: 1, endsAt: now + WINDOW_MS })
      }
    },
  }
}

/** Both throw RATE_LIMITED with `retry_after` (seconds) in its details. */
export interface RateLimits {
  countRequest(actor: Actor): void
  countCreation(actor: Actor): void
}

/** What one token may ask of this process: requests of any kind, and those that make something. */
export function createRateLimits(
  clock: Clock,
  { requestsPerMinute, creationsPerMinute }: Pick<ProducerSettings, 'requestsPerMinute' | 'creationsPerMinute'>,
): RateLimits {
  const limit = (counter: Counter, what: string) => (actor: Actor) => {
    const seconds = counter.secondsToWait(actor.tokenId)
    if (seconds > 0)
      throw new CofferError('RATE_LIMITED', `the token "${actor.name}" has had its ${what} of this minute`, {
        details: { retry_after: seconds },
      })
    counter.count(actor.tokenId)
  }
  return {
    countRequest: limit(createCounter(clock, requestsPerMinute), `${requestsPerMinute} requests`),
    countCreation: limit(createCounter(clock, creationsPerMinute), `${creationsPerMinute} creations`),
  }
}
