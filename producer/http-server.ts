import { randomUUID } from 'node:crypto'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { CofferError, type FailureCode } from '../shared/errors.ts'
import type { Logger } from '../shared/log.ts'
import { describe } from './error-handler.ts'

/** Milliseconds. */
export interface Patience {
  headers: number
  /** 0: as long as it takes. */
  request: number
  /** How often clients are looked at that keep us waiting. */
  check: number
}

// An upload may flow for hours: bodies have a deadline of their own (`bodyDeadline`), all but those of uploads.
const PATIENCE: Patience = { headers: 15_000, request: 0, check: 5_000 }
const KEEP_ALIVE_MS = 30_000
const MAX_HEADER_BYTES = 16_384
const MAX_HEADERS = 100

/** The HTTP server: what never becomes a request is answered with a problem document, too, and its connection is closed. */
export function createHttpServer(listener: RequestListener, log: Logger, patience: Patience = PATIENCE): Server {
  const server = createServer(
    {
      headersTimeout: patience.headers,
      requestTimeout: patience.request,
      connectionsCheckingInterval: patience.check,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
    },
    listener,
  )
  server.maxHeadersCount = MAX_HEADERS
  const answering = new WeakMap<Duplex, number>()
  const count = (socket: Duplex, by: number) => answering.set(socket, (answering.get(socket) ?? 0) + by)
  server.prependListener('request', ({ socket }, response) => {
    count(socket, 1)
    response.once('close', () => count(socket, -1))
  })
  return server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    log.debug({ code: error.code }, 'a client sent no request')
    // Inside an answer that has begun, a second one would be taken for a part of it.
    if (error.code === 'ECONNRESET' || !socket.writable || (answering.get(socket) ?? 0) > 0) socket.destroy()
    else refuse(socket, error.code ?? '')
  })
}

const REFUSALS: Record<string, [FailureCode, string]> = {
  HPE_HEADER_OVERFLOW: ['HEADERS_TOO_LARGE', 'the headers of the request are too large'],
  ERR_HTTP_REQUEST_TIMEOUT: ['REQUEST_TIMEOUT', 'the request did not arrive in time'],
}

function refuse(socket: Duplex, cause: string): void {
  const [code, message] = REFUSALS[cause] ?? ['REQUEST_MALFORMED', 'what was sent is not HTTP']
  const problem = describe(new CofferError(code, message), randomUUID())
  const body = JSON.stringify(problem)
  const head = [
    `HTTP/1.1 ${problem.status} ${problem.title}`,
    'Content-Type: application/problem+json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${problem.request_id}`,
    'Connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}
