import { createHmac } from 'node:crypto'
import type { WebhookFormat } from '../domain/notification.ts'
import { sendRequest } from '../egress/request.ts'
import type { EgressPolicy } from '../egress/policy.ts'
import type { Lookup } from '../egress/vet-host.ts'
import { CofferError } from '../errors.ts'
import { COFFER_VERSION } from '../version.ts'
import { cofferBody, slackBody, type ToldEvent } from './messages.ts'

export interface Sending {
  policy: EgressPolicy
  lookup?: Lookup | undefined
  timeoutMs?: number | undefined
  /** Coffer's clock. */
  now: Date
}

/** Lower-case hex HMAC-SHA-256 of `<timestamp>.<body>`; `timestamp` in seconds. */
export const signatureOf = (secret: string, timestamp: number, body: string): string =>
  createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')

/** @throws SINK_FAILED, EGRESS_REFUSED, HOST_UNKNOWN */
export async function sendWebhook(
  { url, format, signingSecret }: { url: string; format: WebhookFormat; signingSecret: string | undefined },
  event: ToldEvent,
  sending: Sending,
): Promise<void> {
  const body = format === 'slack' ? slackBody(event) : cofferBody(event)
  const timestamp = Math.floor(sending.now.getTime() / 1000)
  await send(url, sending, 'POST', body, {
    'content-type': 'application/json',
    'coffer-event-id': event.uuid,
    'coffer-timestamp': String(timestamp),
    ...(signingSecret === undefined ? {} : { 'coffer-signature': signatureOf(signingSecret, timestamp, body) }),
  })
}

const PING_PATHS: Record<string, string> = {
  'backup.started': '/start',
  'backup.partial': '/fail',
  'backup.failure': '/fail',
}

/** Pings as healthchecks.io has it: `<url>/start`, `<url>` for a success, `<url>/fail`. @throws as sendWebhook */
export async function sendPing(
  url: string,
  event: Pick<ToldEvent, 'kind' | 'message'>,
  sending: Sending,
): Promise<void> {
  const target = URL.canParse(url) ? new URL(url) : null
  if (target) target.pathname = target.pathname.replace(/\/$/, '') + (PING_PATHS[event.kind] ?? '')
  await send(target?.href ?? url, sending, 'POST', event.message, { 'content-type': 'text/plain; charset=utf-8' })
}

async function send(
  url: string,
  { policy, lookup, timeoutMs }: Sending,
  method: 'GET' | 'POST',
  body: string,
  headers: Record<string, string>,
): Promise<void> {
  const status = await sendRequest({
    url,
    method,
    body,
    headers: { 'user-agent': `coffer/${COFFER_VERSION}`, ...headers },
    policy,
    lookup,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  }).catch((cause: unknown) => {
    if (cause instanceof CofferError) throw cause
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
    const isTimeout = cause instanceof Error && cause.name === 'TimeoutError'
    const why = isTimeout ? 'no answer in time' : code
    throw new CofferError('SINK_FAILED', `the receiver does not answer (${why})`, { cause, details: { isAway: true } })
  })
  if (status >= 200 && status < 300) return
  const why = status >= 300 && status < 400 ? `${status}; redirects are not followed` : String(status)
  throw new CofferError('SINK_FAILED', `the receiver answered ${why}`, { details: { isAway: false } })
}
