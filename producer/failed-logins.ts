import type { Clock } from '../shared/clock.ts'
import { CofferError } from '../shared/errors.ts'

export interface FailedLogins {
  /** @throws TOO_MANY_ATTEMPTS with `retry_after` (seconds) in its details */
  check(address: string, sha256: Buffer): void
  count(address: string): void
  /** This token was found valid: a neighbour's guesses no longer lock it out. */
  trust(sha256: Buffer): void
}

const WINDOW_MS = 60_000
const LIMIT = 20
const MAX_ADDRESSES = 10_000

/** Counts wrong tokens by address in memory: after 20 within a minute, tokens never seen to be right wait for the next minute. */
export function createFailedLogins(clock: Clock): FailedLogins {
  const trusted = new Set<string>()
  const windows = new Map<string, { count: number; endsAt: number }>()

  return {
    check(address, sha256) {
      const window = windows.get(address)
      const remainingMs = (window?.endsAt ?? 0) - clock().getTime()
      if (!window || window.count < LIMIT || remainingMs <= 0 || trusted.has(sha256.toString('hex'))) return
      throw new CofferError('TOO_MANY_ATTEMPTS', `${window.count} wrong tokens came from ${address} within a minute`, {
        details: { retry_after: Math.ceil(remainingMs / 1000) },
      })
    },
    count(address) {
      const now = clock().getTime()
      const window = windows.get(address)
      if (window && window.endsAt > now) window.count++
      else {
        if (windows.size >= MAX_ADDRESSES) windows.clear()
        windows.set(address, { count: 1, endsAt: now + WINDOW_MS })
      }
    },
    trust: (sha256) => void trusted.add(sha256.toString('hex')),
  }
}
