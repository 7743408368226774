import type { Clock } from '../shared/clock.ts'
import { CofferError } from '../shared/errors.ts'
import type { Actor } from './auth.ts'
import type { ProducerSettings } from './producer.ts'

const WINDOW_MS = 60_000
const SINK_TESTS_PER_MINUTE = 5
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

/** All throw RATE_LIMITED with `retry_after` (seconds) in its details. */
export interface RateLimits {
  countRequest(actor: Actor): void
  countCreation(actor: Actor): void
  /** Shared by all tokens of an organisation: each test leads to somebody outside. */
  countSinkTest(actor: Actor): void
}

/** What may be asked of this process: by one token, requests of any kind and those that make something; by one organisation, tests of sinks. */
export function createRateLimits(
  clock: Clock,
  { requestsPerMinute, creationsPerMinute }: Pick<ProducerSettings, 'requestsPerMinute' | 'creationsPerMinute'>,
): RateLimits {
  const limit = (most: number, what: string, whoOf: (actor: Actor) => { key: string; who: string }) => {
    const counter = createCounter(clock, most)
    return (actor: Actor) => {
      const { key, who } = whoOf(actor)
      const seconds = counter.secondsToWait(key)
      if (seconds > 0)
        throw new CofferError('RATE_LIMITED', `${who} has had its ${most} ${what} of this minute`, {
          details: { retry_after: seconds },
        })
      counter.count(key)
    }
  }
  const token = ({ tokenId, name }: Actor) => ({ key: tokenId, who: `the token "${name}"` })
  const organisation = ({ scope }: Actor) =>
    scope.organisationId === null
      ? { key: 'installation', who: 'the whole installation' }
      : { key: scope.organisationId, who: 'the organisation' }
  return {
    countRequest: limit(requestsPerMinute, 'requests', token),
    countCreation: limit(creationsPerMinute, 'creations', token),
    countSinkTest: limit(SINK_TESTS_PER_MINUTE, 'tests of notification sinks', organisation),
  }
}
