import type { RequestHandler } from 'express'
import { CofferError } from '../shared/errors.ts'
import { describe, requestIdOf } from './error-handler.ts'

/**
 * Ends the connection of a request whose body has not come whole in time. Node's own requestTimeout would do it for all requests, also for
 * an upload that flows steadily for hours.
 */
export function bodyDeadline(ms: number): RequestHandler {
  return (request, response, next) => {
    const timer = setTimeout(() => {
      if (request.complete) return
      const end = () => request.socket.destroySoon()
      if (response.headersSent) {
        end()
        return
      }
      const problem = describe(
        new CofferError('REQUEST_TIMEOUT', 'the request did not arrive in time'),
        requestIdOf(response),
      )
      response.set('Connection', 'close').status(problem.status).type('application/problem+json')
      response.end(JSON.stringify(problem), end)
    }, ms)
    timer.unref()
    request.once('end', () => clearTimeout(timer))
    next()
  }
}
