import type { RequestHandler } from 'express'
import type { Logger } from '../shared/log.ts'
import { peekActor } from './auth.ts'
import { requestIdOf } from './error-handler.ts'

/** One line a request, without its query, headers and body: those hold secrets. Reading that went well is logged as debug only. */
export function logRequest(log: Logger): RequestHandler {
  return (request, response, next) => {
    const { method, path } = request
    const startedAt = performance.now()
    response.once('close', () => {
      const line = {
        method,
        path,
        status: response.statusCode,
        complete: response.writableFinished,
        duration_ms: Math.round(performance.now() - startedAt),
        request_id: requestIdOf(response),
        token: peekActor(request)?.name,
      }
      const isQuiet = (method === 'GET' || method === 'HEAD') && response.statusCode < 400 && response.writableFinished
      if (isQuiet) log.debug(line, 'request')
      else log.info(line, 'request')
    })
    next()
  }
}
