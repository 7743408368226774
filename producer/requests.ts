import type { RequestHandler } from 'express'
import { z } from 'zod'
import type { Page } from '../shared/catalog/scope.ts'
import { CofferError } from '../shared/errors.ts'
import type { FieldError } from './error-handler.ts'
import { filterNumber } from './fields.ts'
import type { Call } from './routes.ts'

/** A body or query, validated. @throws REQUEST_INVALID with every field's problem at once */
export function parseFields<Schema extends z.ZodType>(schema: Schema, given: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(given)
  if (parsed.success) return parsed.data
  const errors = parsed.error.issues.flatMap(describeIssue)
  throw new CofferError(
    'REQUEST_INVALID',
    `the request is not valid: ${errors.map(({ field, message }) => `${field}: ${message}`).join('; ')}`,
    { details: { errors } },
  )
}

function describeIssue(issue: z.core.$ZodIssue): FieldError[] {
  const at = issue.path.map(String)
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({ field: [...at, key].join('.').slice(0, 200), message: 'is not known here' }))
  return [{ field: at.join('.') || 'body', message: issue.message }]
}

const DEFAULT_PAGE_SIZE = 100
const MAX_PAGE_SIZE = 1000

/** Which part of a list is asked for. */
export const pageFields = {
  page: filterNumber(1, 999_999_999, 1),
  page_size: filterNumber(1, MAX_PAGE_SIZE, DEFAULT_PAGE_SIZE),
}

/** `{count, next, previous, results}` with absolute addresses, as the lists of Divio's API. */
export function listBody(call: Call, { limit, offset }: Page, count: number, results: readonly unknown[]) {
  const current = offset / limit + 1
  const last = Math.max(1, Math.ceil(count / limit))
  const address = (page: number) => {
    const query = new URLSearchParams(call.query as Record<string, string>)
    query.set('page', String(page))
    return `${call.origin}${call.path}?${query.toString()}`
  }
  return {
    count,
    next: current < last ? address(current + 1) : null,
    previous: current > 1 ? address(Math.min(current - 1, last)) : null,
    results,
  }
}

/** Refuses a body that does not say it is JSON; a body parser would skip it in silence. */
export const requireJson: RequestHandler = (request, _response, next) => {
  const isReading = request.method === 'GET' || request.method === 'HEAD'
  const hasBody = request.get('transfer-encoding') !== undefined || Number(request.get('content-length') ?? 0) > 0
  if (isReading || !hasBody || request.is('application/json') !== false) next()
  else
    throw new CofferError(
      'MEDIA_TYPE_UNSUPPORTED',
      `the body has the content-type ${JSON.stringify(request.get('content-type') ?? 'none')}, not application/json`,
    )
}

const MAX_DEPTH = 32

/** Refuses a body that is nested deeper than anything here, before something that calls itself looks at it; and text that no database keeps. */
export const refuseOddBody: RequestHandler = (request, _response, next) => {
  let level: unknown[] = [request.body]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH)
      throw new CofferError('REQUEST_MALFORMED', `the body of the request is nested deeper than ${MAX_DEPTH} levels`)
    if (level.some((value) => typeof value === 'string' && !value.isWellFormed()))
      throw new CofferError('REQUEST_INVALID', 'the body of the request has half a surrogate pair, which is no text')
    level = level.flatMap((value) =>
      typeof value === 'object' && value !== null ? (Object.entries(value).flat() as unknown[]) : [],
    )
  }
  refuseNul(request.body)
  next()
}

function refuseNul(body: unknown): void {
  const [field] = Object.entries(body ?? {}).find((entry) => hasNul(entry)) ?? []
  if (field === undefined) return
  const [shown, message] = [field.replaceAll('\0', ''), 'must not contain NUL']
  const details = { errors: [{ field: shown, message }] }
  throw new CofferError('REQUEST_INVALID', `${shown} ${message}`, { details })
}

const hasNul = (value: unknown): boolean =>
  typeof value === 'string'
    ? value.includes('\0')
    : typeof value === 'object' && value !== null && Object.entries(value).flat().some(hasNul)
