import { z } from 'zod'
import type { Page } from '../shared/catalog/scope.ts'
import { listBody, pageFields, parseFields } from './requests.ts'
import type { Call, Route } from './routes.ts'
import type { ServerEvent } from './server-events.ts'

/** A request as a handler sees it: its body and query are what the route's own schemas made of them. */
export interface Asked<Body, Query> extends Omit<Call, 'body' | 'query'> {
  body: Body
  query: Query
  /** The id in the path. */
  id: string
  now: Date
}

const NO_FIELDS = z.strictObject({})

type Described = Pick<
  Route,
  'path' | 'role' | 'summary' | 'codes' | 'concernsAll' | 'isLong' | 'isSecret' | 'isSinkTest'
>
type Nothing = typeof NO_FIELDS.shape
type QueryOf<Shape extends z.ZodRawShape> = z.infer<z.ZodObject<Shape>>

interface One<Body extends z.ZodType, Query extends z.ZodRawShape, Reply extends z.ZodType | null> extends Described {
  method: Route['method']
  /** Of a POST or PATCH; absent: it takes no field. */
  body?: Body | ((now: Date) => Body)
  query?: Query
  reply: Reply
  /** Default: 200, or 204 without a body. */
  status?: number
  vet?: (asked: Asked<z.infer<Body>, QueryOf<Query>>) => Promise<void>
  handle: (
    asked: Asked<z.infer<Body>, QueryOf<Query>>,
  ) => Reply extends z.ZodType ? Promise<z.infer<Reply>> : Promise<void>
}

/** A route that answers at once. What validates its request is what describes it, so the two can't differ. */
export function route<
  Reply extends z.ZodType | null,
  Body extends z.ZodType = typeof NO_FIELDS,
  Query extends z.ZodRawShape = Nothing,
>({ body, vet, handle, status, ...described }: One<Body, Query, Reply>): Route {
  const { method, query, reply } = described
  const takesBody = method === 'POST' || method === 'PATCH'
  const bodyAt = (now: Date) => (typeof body === 'function' ? body(now) : (body ?? NO_FIELDS))
  const answered = status ?? (reply === null ? 204 : 200)
  const parse = (call: Call, now: Date) =>
    ask(call, now, {
      // No body at all is an empty object.
      body: takesBody ? parseFields(bodyAt(now), call.body ?? {}) : undefined,
      query: query ? parseFields(z.strictObject(query), call.query) : {},
    }) as Asked<z.infer<Body>, QueryOf<Query>>
  return {
    ...described,
    ...(takesBody && { body: bodyAt }),
    answers: 'once',
    status: answered,
    ...(vet && { vet: (call, now) => vet(parse(call, now)) }),
    async handle(call, now) {
      const made = await handle(parse(call, now))
      return reply === null ? { status: answered } : { status: answered, body: made }
    },
  }
}

interface List<Filters extends z.ZodRawShape, Row extends z.ZodType, More extends z.ZodRawShape> extends Described {
  filters?: Filters
  of: Row
  more?: More
  rows: (
    asked: Asked<undefined, QueryOf<Filters>> & { page: Page },
  ) => Promise<{ rows: readonly z.infer<Row>[]; count: number } & QueryOf<More>>
}

/** A route that answers a page of a list. A filter that is not known is refused: ignored, it would show too much. */
export function list<
  Row extends z.ZodType,
  Filters extends z.ZodRawShape = Nothing,
  More extends z.ZodRawShape = Nothing,
>({ filters, of, rows: find, ...described }: List<Filters, Row, More>): Route {
  const query = { ...filters, ...pageFields }
  return {
    ...described,
    method: 'GET',
    query,
    reply: of,
    answers: 'list',
    status: 200,
    async handle(call, now) {
      const { page: number, page_size: limit, ...given } = parseFields(z.strictObject(query), call.query) as PageQuery
      const page = { limit, offset: (number - 1) * limit }
      const asked = ask(call, now, { body: undefined, query: given as QueryOf<Filters> })
      const { rows, count, ...more } = await find({ ...asked, page })
      return { status: 200, body: { ...listBody(call, page, count, rows), ...more } }
    },
  }
}

type PageQuery = QueryOf<typeof pageFields> & Record<string, unknown>

interface Events<Data extends z.ZodType> extends Described {
  /** What each event carries. */
  of: Data
  open: (asked: Asked<undefined, Nothing>) => Promise<(signal: AbortSignal) => AsyncIterable<ServerEvent>>
}

/** A route that answers server-sent events. */
export const events = <Data extends z.ZodType>({ of, open, ...described }: Events<Data>): Route => ({
  ...described,
  method: 'GET',
  reply: of,
  answers: 'events',
  status: 200,
  handle: async (call, now) => ({ status: 200, events: await open(ask(call, now, { body: undefined, query: {} })) }),
})

const ask = <Body, Query>(call: Call, now: Date, parsed: { body: Body; query: Query }): Asked<Body, Query> => ({
  ...call,
  ...parsed,
  id: Object.values(call.params)[0] ?? '',
  now,
})
