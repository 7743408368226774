import type { Request, Response } from 'express'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { CofferError } from '../shared/errors.ts'
import { actorOf } from './auth.ts'

/** One server-sent event. `data` is sent as JSON. */
export interface ServerEvent {
  event: string
  data: unknown
}

const HEARTBEAT_MS = 15_000
/** Each listener asks the catalog every second. */
const MOST_PER_TOKEN = 20
const TOKEN_CHECK_MS = 5_000
const RETRY_MS = 2_000
export const POLL_MS = 1_000

const listeners = new Map<string, number>()

/**
 * Sends events until they end or the client goes away. A comment now and then keeps proxies from taking the silence for an end.
 * @throws TOO_MANY_ATTEMPTS before the first byte, when this token listens too often already
 */
export async function sendEvents(
  request: Request,
  response: Response,
  open: (signal: AbortSignal) => AsyncIterable<ServerEvent>,
): Promise<void> {
  const { tokenId, name } = actorOf(request)
  const count = (listeners.get(tokenId) ?? 0) + 1
  if (count > MOST_PER_TOKEN)
    throw new CofferError(
      'TOO_MANY_ATTEMPTS',
      `the token "${name}" listens to ${MOST_PER_TOKEN} streams of events already`,
      {
        details: { retry_after: RETRY_MS / 1000 },
      },
    )
  listeners.set(tokenId, count)
  const closed = new AbortController()
  response.once('close', () => closed.abort())
  // Gone before anybody listened: `close` does not come twice.
  const isGone = response.destroyed
  if (isGone) closed.abort()
  const heartbeat = setInterval(() => {
    if (!response.writableNeedDrain) response.write(': still here\n\n')
  }, HEARTBEAT_MS)
  try {
    response.set({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' })
    if (request.method === 'HEAD' || isGone) return void response.end()
    response.write(`retry: ${RETRY_MS}\n\n`)
    for await (const { event, data } of open(closed.signal)) {
      if (closed.signal.aborted) break
      if (!response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)) await drained(response, closed.signal)
    }
    response.end()
  } finally {
    clearInterval(heartbeat)
    const left = (listeners.get(tokenId) ?? 1) - 1
    if (left === 0) listeners.delete(tokenId)
    else listeners.set(tokenId, left)
  }
}

/** Resolves when the client has taken what was sent, or is gone. */
const drained = (response: Response, signal: AbortSignal) => once(response, 'drain', { signal }).catch(() => undefined)

/** Ends events when their listener's token works no more, which is looked at now and then. */
export async function* whileAllowed(
  open: (signal: AbortSignal) => AsyncIterable<ServerEvent>,
  isAllowed: () => Promise<boolean>,
  signal: AbortSignal,
): AsyncGenerator<ServerEvent, void, undefined> {
  const refused = new AbortController()
  const look = async () => {
    // A catalog that is away says nothing about the token, and gives no events.
    if (!(await isAllowed().catch(() => true))) refused.abort()
  }
  const timer = setInterval(() => void look(), TOKEN_CHECK_MS)
  try {
    yield* open(AbortSignal.any([signal, refused.signal]))
  } finally {
    clearInterval(timer)
  }
}

/** `progress` with what `read` says, at once and whenever it differs; `end` with it when it has ended. */
export async function* followUntilEnded<T>(
  read: () => Promise<T>,
  hasEnded: (state: T) => boolean,
  signal: AbortSignal,
): AsyncGenerator<ServerEvent, void, undefined> {
  let last = ''
  while (!signal.aborted) {
    const state = await read()
    if (hasEnded(state)) return yield { event: 'end', data: state }
    const text = JSON.stringify(state)
    if (text !== last) yield { event: 'progress', data: state }
    last = text
    await delay(POLL_MS, undefined, { signal }).catch(() => undefined)
  }
}
