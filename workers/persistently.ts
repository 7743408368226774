import { setTimeout as delay } from 'node:timers/promises'
import { sqlState } from '../shared/catalog/database.ts'
import { CofferError } from '../shared/errors.ts'

const CONNECTION_ERRORS = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN'],
  // PostgreSQL: too many connections.
  '53300',
])
/** What the driver says without a code. */
const CONNECTION_MESSAGES =
  /connection terminated|connection error and is not queryable|query read timeout|timeout expired|timeout exceeded/i

/** Whether the catalog was away, so that the same work may succeed later. */
export function isCatalogAway(error: unknown): boolean {
  if (error instanceof CofferError) return error.code === 'SERVICE_UNAVAILABLE'
  const code = sqlState(error)
  if (code.startsWith('08') || code.startsWith('57P') || CONNECTION_ERRORS.has(code)) return true
  return error instanceof Error && CONNECTION_MESSAGES.test(error.message)
}

/** Runs `work`, which may run twice, until the catalog answers or the signal aborts. */
export async function persistently<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let tries = 1; ; tries++) {
    signal.throwIfAborted()
    try {
      return await work()
    } catch (error) {
      if (!isCatalogAway(error)) throw error
      await delay(Math.min(tries * 250, 5_000), undefined, { signal })
    }
  }
}
