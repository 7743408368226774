import type { RequestHandler } from 'express'

/**
 * Ends the connection of a request whose body has not come whole in time. Node's own requestTimeout would do it for all requests, also for
 * an upload that flows steadily for hours.
 */
export function bodyDeadline(ms: number): RequestHandler {
  return (request, response, next) => {
    const timer = setTimeout(() => {
      if (request.complete) return
      const { socket } = request
      if (!response.headersSent) socket.write('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n')
      socket.destroySoon()
    }, ms)
    timer.unref()
    request.once('end', () => clearTimeout(timer))
    next()
  }
}
