import type { Clock } from '../shared/clock.ts'
import { networkOf } from '../shared/egress/addresses.ts'
import { CofferError } from '../shared/errors.ts'
import { createCounter } from './rate-limits.ts'

export interface FailedLogins {
  /** @throws TOO_MANY_ATTEMPTS with `retry_after` (seconds) in its details */
  check(address: string, sha256: Buffer): void
  /** This token was wrong, or is no longer right. */
  count(address: string, sha256: Buffer): void
  /** This token was found valid: a neighbour's guesses no longer lock it out. */
  trust(sha256: Buffer): void
}

const LIMIT = 20

/** Counts wrong tokens by address, of IPv6 by its /64, in memory: after 20 within a minute, tokens never seen to be right wait for the next minute. */
export function createFailedLogins(clock: Clock): FailedLogins {
  const trusted = new Set<string>()
  const counter = createCounter(clock, LIMIT)
  const nameOf = (sha256: Buffer) => sha256.toString('hex')
  return {
    check(address, sha256) {
      const seconds = trusted.has(nameOf(sha256)) ? 0 : counter.secondsToWait(networkOf(address))
      if (seconds === 0) return
      throw new CofferError('TOO_MANY_ATTEMPTS', `too many wrong tokens came from ${address} within a minute`, {
        details: { retry_after: seconds },
      })
    },
    count(address, sha256) {
      trusted.delete(nameOf(sha256))
      counter.count(networkOf(address))
    },
    trust: (sha256) => void trusted.add(nameOf(sha256)),
  }
}
