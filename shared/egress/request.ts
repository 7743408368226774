import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { LookupFunction } from 'node:net'
import type { Address } from './addresses.ts'
import type { EgressPolicy } from './policy.ts'
import type { Lookup } from './vet-host.ts'
import { vetUrl } from './vet-url.ts'

export interface OutgoingRequest {
  url: string
  method: 'GET' | 'POST'
  headers?: Record<string, string>
  body?: string
  /** For everything: finding the host, connecting, and the whole answer. Default ten seconds. */
  timeoutMs?: number
  policy: EgressPolicy
  lookup?: Lookup | undefined
}

export const REQUEST_TIMEOUT_MS = 10_000

/**
 * Sends a request to a vetted address, on a connection of its own, and follows no redirect. The answer's body is thrown away.
 * @returns the status
 * @throws EGRESS_REFUSED, HOST_UNKNOWN, the error of the connection, or a TimeoutError
 */
export async function sendRequest({ timeoutMs = REQUEST_TIMEOUT_MS, ...outgoing }: OutgoingRequest): Promise<number> {
  const signal = AbortSignal.timeout(timeoutMs)
  const { url, addresses } = await orTimeout(vetUrl(outgoing.url, outgoing.policy, outgoing.lookup), signal)
  const { method, headers = {}, body = '' } = outgoing
  const options: RequestOptions = {
    method,
    headers: { ...headers, 'content-length': Buffer.byteLength(body) },
    agent: false,
    signal,
    lookup: answering(addresses),
  }
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, options, resolve)
    // It stays after the answer has begun: what breaks then is of no interest any more, but must not be unheard.
    request.on('error', (error) => reject(signal.aborted ? (signal.reason as Error) : error))
    request.end(body)
  })
  // The status is all that is wanted: a body without end must not keep the connection.
  response.on('error', () => undefined)
  response.destroy()
  return response.statusCode ?? 0
}

/** The connection asks this instead of a resolver; TLS still checks the certificate against the name. */
export const answering =
  (addresses: readonly Address[]): LookupFunction =>
  (_host, { all }, callback) => {
    const [first] = addresses
    if (all || !first) callback(null, [...addresses])
    else callback(null, first.address, first.family)
  }

function orTimeout<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    work.then(resolve, reject)
  })
}
