import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { ExpressAdapter } from '@bull-board/express'
import { Router, type RequestHandler } from 'express'
import { CofferError } from '../shared/errors.ts'
import type { Queues } from '../shared/queues.ts'
import { scrub } from '../shared/scrub.ts'
import { actorOf } from './auth.ts'

export const BOARD_PATH = '/queues'
const ANSWER_DEADLINE_MS = 5_000

/** What an admin may do there: ring doorbells again or forget them. Workers re-read the catalog, so no bell can do what the API would not. */
const SAFE_ACTIONS = [
  /^PUT \/api\/queues\/[^/]+\/[^/]+\/(retry|promote|clean)$/,
  /^PUT \/api\/queues\/[^/]+\/retry\/failed$/,
  /^PUT \/api\/queues\/[^/]+\/clean\/(completed|failed)$/,
  /^PUT \/api\/queues\/[^/]+\/promote$/,
]

/** Bull Board for requests that have an actor: read-only but for admins, and only for tokens of the whole installation. */
export function boardRouter(queues: Queues): Router {
  const readOnly = board(queues, true)
  const writable = board(queues, false)
  return Router().use(guardBoard, answerInTime, (request, response, next) => {
    const chosen = actorOf(request).role === 'admin' ? writable : readOnly
    chosen(request, response, next)
  })
}

function board(queues: Queues, readOnlyMode: boolean): RequestHandler {
  const adapter = new ExpressAdapter()
  adapter.setBasePath(BOARD_PATH)
  createBullBoard({
    queues: queues.all.map((queue) => new BullMQAdapter(queue, { readOnlyMode })),
    serverAdapter: adapter,
    options: {
      uiConfig: { boardTitle: 'Coffer queues', hideDocsLink: true, miscLinks: [{ text: 'Backups', url: '/' }] },
    },
  })
  adapter.setErrorHandler((error) => ({ status: 500, body: { message: scrub(error.message) } }))
  return adapter.getRouter() as RequestHandler
}

const guardBoard: RequestHandler = (request, _response, next) => {
  const { role, scope, name } = actorOf(request)
  if (scope.organisationId !== null)
    throw new CofferError('FORBIDDEN', `the queues show every organisation; the token "${name}" is for one`)
  const action = `${request.method} ${request.path}`
  const isReading = request.method === 'GET' || request.method === 'HEAD'
  if (!isReading && role !== 'admin')
    throw new CofferError('FORBIDDEN', `${action} needs the role admin; the token "${name}" is a ${role}'s`)
  if (!isReading && !SAFE_ACTIONS.some((safe) => safe.test(action)))
    throw new CofferError('FORBIDDEN', `${action} is not allowed here: change backups through the API`)
  next()
}

/** With Redis away, a queue's answer may never come. */
const answerInTime: RequestHandler = (_request, response, next) => {
  const timer = setTimeout(() => {
    if (!response.headersSent) next(new CofferError('SERVICE_UNAVAILABLE', 'Redis does not answer'))
  }, ANSWER_DEADLINE_MS)
  response.once('close', () => clearTimeout(timer))
  next()
}
