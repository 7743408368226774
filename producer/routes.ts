import type { Request, RequestHandler, Response, Router } from 'express'
import type { z } from 'zod'
import type { Role } from '../shared/catalog/tokens.ts'
import { CofferError, type FailureCode } from '../shared/errors.ts'
import { actorOf, originOfRequest, type Actor, type Origin } from './auth.ts'
import { sendEvents, type ServerEvent } from './server-events.ts'

export type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'

/** A request as a route sees it: authenticated, allowed, and with its body parsed as JSON but not yet validated. */
export interface Call extends Origin {
  actor: Actor
  /** The `:name` parts of the route's path. */
  params: Readonly<Record<string, string>>
  query: Readonly<Record<string, unknown>>
  body: unknown
  /** `http://host:port`, as the client addressed the producer. */
  origin: string
  /** Without the query. */
  path: string
  idempotencyKey: string | undefined
}

export interface Reply {
  status: number
  /** Absent: no body. */
  body?: unknown
  /** Instead of a body: server-sent events, until they end or the signal says that nobody listens any more. */
  events?: (signal: AbortSignal) => AsyncIterable<ServerEvent>
  /** It is the answer to an earlier request with the same Idempotency-Key. */
  isReplayed?: boolean
}

/** One line of the table that the application, its description in OpenAPI and its tests are made from. `route`, `list` and `events` make them. */
export interface Route {
  method: Method
  path: string
  role: Role
  /** Of what all organisations share: what it does, as the refusal of a token of one of them says it. */
  concernsAll?: string
  /** What it does, in a sentence for people. */
  summary: string
  /** What its body must be; some times are judged by the clock. */
  body?: (now: Date) => z.ZodType
  /** The parameters of its query; absent: the query is not looked at. */
  query?: z.ZodRawShape
  /** What it answers: the body, each line of a list, or the data of each event; null: nothing. */
  reply: z.ZodType | null
  answers: 'once' | 'list' | 'events'
  /** What its answer has beside the usual of a list. */
  more?: z.ZodRawShape
  status: number
  /** The refusals that are its own, beside those of every route of its kind. */
  codes?: readonly FailureCode[]
  /**
   * Of a change: asks outside of the catalog (name servers, stores, folders) what must be known before it. It is awaited before the
   * change's transaction, which would hold a connection of the catalog meanwhile.
   */
  vet?: (call: Call, now: Date) => Promise<void>
  /** @throws REQUEST_INVALID when body or query are not what the route says */
  handle: (call: Call, now: Date) => Promise<Reply>
  /** Of a change that takes long or does more than write to the catalog, and so can't be one transaction with its line of the audit log. */
  isLong?: boolean
  /** The answer holds a secret that is shown once: it is not kept under an Idempotency-Key. */
  isSecret?: boolean
  /** It sends something to somebody outside, and so has a limit of its own. */
  isSinkTest?: boolean
}

/** Whether it makes something new, rather than to change what is there. */
export const isCreation = ({ method, path }: Route): boolean => method === 'POST' && !path.includes(':')

/** Whether its answer is kept under the Idempotency-Key of its request: with the work, in its transaction, and not where it holds a secret. */
export const keepsAnswer = (route: Route): boolean =>
  isCreation(route) && route.isSecret !== true && route.isLong !== true

/** How a request of a route is done. */
export type Perform = (route: Route, call: Call) => Promise<Reply>

/** Adds the routes, and 405 with `Allow` for the other methods of their paths. */
export function mountRoutes(router: Router, routes: readonly Route[], perform: Perform): void {
  for (const [path, siblings] of Map.groupBy(routes, (route) => route.path)) {
    const chain = router.route(path)
    for (const route of siblings) chain[verb(route.method)](handlerOf(route, perform))
    chain.all(refuseMethod(siblings.map((route) => route.method)))
  }
}

const verb = (method: Method) => method.toLowerCase() as 'get' | 'post' | 'patch' | 'delete'

function handlerOf(route: Route, perform: Perform): RequestHandler {
  return async (request, response) => {
    const { status, body, events, isReplayed } = await perform(route, callOf(request, response))
    response.status(status)
    if (isReplayed === true) response.set('Idempotency-Replayed', 'true')
    if (events) await sendEvents(request, response, events)
    else if (body === undefined) response.end()
    else response.json(body)
  }
}

function callOf(request: Request, response: Response): Call {
  return {
    ...originOfRequest(request, response),
    actor: actorOf(request),
    params: request.params as Record<string, string>,
    query: request.query,
    body: request.method === 'GET' || request.method === 'HEAD' ? undefined : (request.body as unknown),
    origin: originOf(request),
    path: request.baseUrl + request.path,
    idempotencyKey: request.get('idempotency-key'),
  }
}

export const originOf = (request: Request): string => `${request.protocol}://${request.host}`

export function refuseMethod(methods: readonly (Method | 'PUT')[]): RequestHandler {
  const allowed = methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])).join(', ')
  return (request: Request, response: Response) => {
    response.set('Allow', allowed)
    throw new CofferError(
      'METHOD_NOT_ALLOWED',
      `${request.baseUrl}${request.path} answers ${allowed}, not ${request.method}`,
    )
  }
}
