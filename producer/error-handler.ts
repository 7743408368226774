import { randomUUID } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import type { ErrorRequestHandler, Request, RequestHandler, Response } from 'express'
import { sqlState } from '../shared/catalog/database.ts'
import { CofferError, FAILURES, toCofferError } from '../shared/errors.ts'
import type { Logger } from '../shared/log.ts'
import { scrub } from '../shared/scrub.ts'

/** RFC 9457. `code` is one of FAILURES. */
export interface Problem {
  type: string
  title: string
  status: number
  code: string
  detail: string
  remedy: string
  errors?: FieldError[]
  /** Of CONFIRMATION_REQUIRED: what would go, and what to send back as `confirm`. */
  digest?: unknown
  would_delete?: unknown
  request_id: string
}

export interface FieldError {
  field: string
  message: string
}

/** Gives every request an id, its own or a new one, and sends it back. */
export const identifyRequest: RequestHandler = (request, response, next) => {
  const given = request.get('x-request-id') ?? ''
  response.set('X-Request-Id', /^[\w.-]{1,128}$/.test(given) ? given : randomUUID())
  next()
}

export const requestIdOf = (response: Response): string => String(response.getHeader('X-Request-Id') ?? '')

export const refuseUnknownPath: RequestHandler = (request) => {
  throw new CofferError('NOT_FOUND', `there is nothing at ${request.path}`)
}

/** Anything thrown becomes a problem document; what we did not foresee is logged and shown only as its request id. */
export function errorHandler(log: Logger): ErrorRequestHandler {
  // eslint-disable-next-line @typescript-eslint/no-unused-vars -- express knows an error handler by its four parameters
  return (thrown: unknown, request: Request, response: Response, _next) => {
    const error = translate(thrown)
    const requestId = requestIdOf(response)
    if (FAILURES[error.code].status >= 500)
      log.error({ err: error, request_id: requestId, method: request.method, path: request.path }, 'request failed')
    if (response.headersSent) {
      response.destroy()
      return
    }
    const problem = describe(error, requestId)
    const { retry_after: retryAfter } = error.details
    if (typeof retryAfter === 'number') response.set('Retry-After', String(retryAfter))
    response.status(problem.status).type('application/problem+json').send(JSON.stringify(problem))
  }
}

/** As a problem document. */
export function describe(error: CofferError, requestId: string): Problem {
  const { status, remedy } = FAILURES[error.code]
  const errors = fieldErrors(error)
  return {
    type: `urn:coffer:error:${error.code}`,
    title: STATUS_CODES[status] ?? 'Error',
    status,
    code: error.code,
    detail: error.code === 'INTERNAL' ? 'something failed that was not foreseen' : scrub(error.message),
    remedy,
    ...(errors.length > 0 ? { errors } : {}),
    ...(error.code === 'CONFIRMATION_REQUIRED' ? error.details : {}),
    request_id: requestId,
  }
}

function fieldErrors({ details, message }: CofferError): FieldError[] {
  if (Array.isArray(details.errors)) return details.errors as FieldError[]
  return typeof details.field === 'string' ? [{ field: details.field, message: scrub(message) }] : []
}

/** What pg throws when the catalog can't be reached or entered: errors of the socket, and SQLSTATEs. */
const AWAY = /^(ECONNREFUSED|ECONNRESET|ENOTFOUND|ETIMEDOUT|EPIPE|08...|28...|3D000|53300|57P0.)$/
const AWAY_MESSAGE = /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout)/

/** What was thrown, as what the client is told. */
export function translate(thrown: unknown): CofferError {
  if (thrown instanceof CofferError) return thrown
  const state = sqlState(thrown)
  if (AWAY.test(state) || (thrown instanceof Error && AWAY_MESSAGE.test(thrown.message)))
    return new CofferError('SERVICE_UNAVAILABLE', 'the catalog database does not answer', { cause: thrown })
  return parserError(thrown) ?? toCofferError(thrown)
}

/** What express and its body parsers throw, told by `type` and `status`. null: something else. */
function parserError(thrown: unknown): CofferError | null {
  if (!(thrown instanceof Error) || !('status' in thrown)) return null
  const { status } = thrown
  const type = 'type' in thrown ? String(thrown.type) : ''
  if (status === 413)
    return new CofferError('REQUEST_TOO_LARGE', 'the body of the request is too large', { cause: thrown })
  if (status === 415)
    return new CofferError(
      'MEDIA_TYPE_UNSUPPORTED',
      `the body of the request has an unsupported ${type.split('.')[0] ?? 'type'}`,
      {
        cause: thrown,
      },
    )
  if (typeof status !== 'number' || status < 400 || status >= 500) return null
  const what =
    type === 'entity.parse.failed' ? 'the body of the request is not a JSON object' : 'the request is not well-formed'
  return new CofferError('REQUEST_MALFORMED', what, { cause: thrown })
}
