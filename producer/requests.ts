import type { RequestHandler } from 'express'
import { z } from 'zod'
import type { Page } from '../shared/catalog/scope.ts'
import { CofferError } from '../shared/errors.ts'
import type { FieldError } from './error-handler.ts'
import type { Call, Reply } from './routes.ts'

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

/** The body of a POST or PATCH; none at all is an empty object. */
export const parseBody = <Schema extends z.ZodType>(schema: Schema, call: Call): z.infer<Schema> =>
  parseFields(schema, call.body ?? {})

const DEFAULT_PAGE_SIZE = 100
const MAX_PAGE_SIZE = 1000

const wholeNumber = (max: number) =>
  z
    .string('must be given once')
    .regex(/^[1-9]\d{0,8}$/, 'must be a whole number from 1')
    .transform(Number)
    .refine((value) => value <= max, `must be at most ${max}`)

const pageFields = {
  page: wholeNumber(999_999_999).default(1),
  page_size: wholeNumber(MAX_PAGE_SIZE).default(DEFAULT_PAGE_SIZE),
}

/** The query of a list: its filters, and the page asked for. A filter that is not known is refused: ignored, it would show too much. */
export function parseListQuery<Filters extends z.ZodRawShape>(
  filters: Filters,
  call: Call,
): { filters: z.infer<z.ZodObject<Filters>>; page: Page } {
  const given = { ...call.query }
  const { page, page_size: limit } = parseFields(z.object(pageFields), given)
  delete given['page']
  delete given['page_size']
  return { filters: parseFields(z.strictObject(filters), given), page: { limit, offset: (page - 1) * limit } }
}

/** `{count, next, previous, results}` with absolute addresses, as the lists of Divio's API. */
export function listReply(call: Call, { limit, offset }: Page, count: number, results: readonly unknown[]): Reply {
  const current = offset / limit + 1
  const last = Math.max(1, Math.ceil(count / limit))
  const address = (page: number) => {
    const query = new URLSearchParams(call.query as Record<string, string>)
    query.set('page', String(page))
    return `${call.origin}${call.path}?${query.toString()}`
  }
  return {
    status: 200,
    body: {
      count,
      next: current < last ? address(current + 1) : null,
      previous: current > 1 ? address(Math.min(current - 1, last)) : null,
      results,
    },
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

/** Refuses a body that is nested deeper than anything here, before something that calls itself looks at it. */
export const refuseDeepBody: RequestHandler = (request, _response, next) => {
  let level: unknown[] = [request.body]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH)
      throw new CofferError('REQUEST_MALFORMED', `the body of the request is nested deeper than ${MAX_DEPTH} levels`)
    level = level.flatMap((value) =>
      typeof value === 'object' && value !== null ? (Object.values(value) as unknown[]) : [],
    )
  }
  next()
}
