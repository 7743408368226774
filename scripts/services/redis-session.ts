import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'

const DEADLINE_MS = 5_000

/** Talks to a Redis once. Rejects when it refuses, and also when it accepts the connection and then says nothing. */
export async function withRedis<T>(url: string, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url, { lazyConnect: true, retryStrategy: () => null, connectTimeout: DEADLINE_MS })
  let refusal: unknown
  redis.on('error', (error) => (refusal = error))
  const over = new AbortController()
  const silence = delay(DEADLINE_MS, null, { signal: over.signal }).then(() => {
    throw new Error(`no answer within ${DEADLINE_MS / 1000} s`)
  })
  try {
    return await Promise.race([redis.connect().then(() => work(redis)), silence])
  } catch (error) {
    // The rejection of connect only says that the connection is closed; the event said why.
    throw refusal ?? error
  } finally {
    over.abort()
    silence.catch(() => undefined)
    redis.disconnect()
  }
}
