import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { until } from './until.ts'

export interface Received {
  method: string
  path: string
  headers: IncomingHttpHeaders
  body: string
}

/** A receiver of webhooks and pings on loopback. */
export interface HttpReceiver extends AsyncDisposable {
  url: string
  readonly received: Received[]
  /** TCP connections so far, whatever came over them. */
  readonly connections: number
  /** How the next ones are answered: a status, or never. */
  answer: number | 'hang' | ((request: Received) => number | 'hang')
  /** Resolves when so many have come. */
  count(wanted: number): Promise<Received[]>
}

/** @param port a port of an earlier one that was closed; default: a free one */
export async function startHttpReceiver(port = 0): Promise<HttpReceiver> {
  const received: Received[] = []
  let connections = 0
  const receiver: HttpReceiver = {
    url: '',
    received,
    get connections() {
      return connections
    },
    answer: 204,
    count: (wanted) => until(() => Promise.resolve(received.length >= wanted && received)),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  const take = async (request: IncomingMessage, response: ServerResponse) => {
    const { method = '', url: path = '', headers } = request
    const taken = { method, path, headers, body: await text(request) }
    received.push(taken)
    const answer = typeof receiver.answer === 'function' ? receiver.answer(taken) : receiver.answer
    if (answer === 'hang') return
    response.writeHead(answer, answer >= 300 && answer < 400 ? { location: '/elsewhere' } : {}).end()
  }
  const server = createServer((request, response) => void take(request, response).catch(() => response.destroy()))
  server.on('connection', () => connections++)
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  receiver.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return receiver
}
