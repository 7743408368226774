import { Router, urlencoded, type RequestHandler } from 'express'
import { writeAudit } from '../../shared/catalog/audit.ts'
import { listRecentBackups } from '../../shared/catalog/recent-backups.ts'
import { CofferError } from '../../shared/errors.ts'
import { auditBoard } from '../audit.ts'
import { actorOf, login, loginEntry, originOfRequest, peekActor } from '../auth.ts'
import { BOARD_PATH, boardRouter } from '../board.ts'
import type { FailedLogins } from '../failed-logins.ts'
import type { Producer } from '../producer.ts'
import type { RateLimits } from '../rate-limits.ts'
import { refuseMethod } from '../routes.ts'
import { closeSession, openSession, readSession, requireSameOrigin } from '../session.ts'
import { renderBackups } from './backups-page.ts'
import { renderLogin } from './login-page.ts'
import { STYLE } from './style.ts'

const SHOWN_BACKUPS = 50

/** What people see in a browser: the login, the latest backups, and Bull Board. A session takes the place of the token. */
export function pagesRouter(producer: Producer, failedLogins: FailedLogins, limits: RateLimits): Router {
  const router = Router()
  router.route('/assets/coffer.css').get((_request, response) => void response.type('css').send(STYLE))
  router.use(['/login', '/logout', BOARD_PATH, '/'].map(exactly), requireSameOrigin, readSession(producer))
  router
    .route('/login')
    .get((_request, response) => void response.send(renderLogin(null)))
    .post(urlencoded({ extended: false, limit: '4kb' }), tryLogin(producer, failedLogins))
    .all(refuseMethod(['GET', 'POST']))
  router
    .route('/logout')
    .post((request, response) => {
      closeSession(request, response)
      response.redirect(303, '/login')
    })
    .all(refuseMethod(['POST']))
  router
    .route('/')
    .get(requireLogin, showBackups(producer))
    .all(refuseMethod(['GET']))
  router.use(BOARD_PATH, requireLogin, countRequest(limits), auditBoard(producer), boardRouter(producer.queues))
  return router
}

/** `/` alone and not all that begins with it. */
const exactly = (path: string) => (path === '/' ? /^\/$/ : path)

function tryLogin(producer: Producer, failedLogins: FailedLogins): RequestHandler {
  return async (request, response) => {
    const token: unknown = (request.body as Record<string, unknown> | undefined)?.['token']
    try {
      const origin = originOfRequest(request, response)
      const actor = await login(producer, failedLogins, typeof token === 'string' ? token.trim() : '', origin)
      await writeAudit(producer.catalog, loginEntry(actor, origin, producer.clock()))
      openSession(producer, request, response, actor)
      response.redirect(303, '/')
    } catch (error) {
      if (!(error instanceof CofferError) || !['UNAUTHENTICATED', 'TOO_MANY_ATTEMPTS'].includes(error.code)) throw error
      // The remedies speak of headers, to those who call the API.
      response.status(error.code === 'UNAUTHENTICATED' ? 401 : 429).send(renderLogin(error.message))
    }
  }
}

/** A page that is not for strangers leads to the login; anything else is refused. */
const requireLogin: RequestHandler = (request, response, next) => {
  response.set('Cache-Control', 'no-store')
  if (peekActor(request)) next()
  else if (request.method === 'GET' && request.accepts(['json', 'html']) === 'html') response.redirect(303, '/login')
  else throw new CofferError('UNAUTHENTICATED', `${request.originalUrl.split('?')[0] ?? ''} needs a login at /login`)
}

const countRequest =
  (limits: RateLimits): RequestHandler =>
  (request, _response, next) => {
    limits.countRequest(actorOf(request))
    next()
  }

function showBackups({ catalog, clock }: Producer): RequestHandler {
  return async (request, response) => {
    const actor = actorOf(request)
    response.send(renderBackups(actor, await listRecentBackups(catalog, actor.scope, SHOWN_BACKUPS), clock()))
  }
}
