import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

export interface TcpProxy extends AsyncDisposable {
  port: number
  /** Breaks every connection and refuses new ones. */
  cut(): void
  heal(): void
}

/**
 * A network that can be cut, in front of a server on loopback.
 * @param cutAfter bytes of one connection to the server by which it is cut by itself
 */
export async function startTcpProxy(
  target: { host: string; port: number },
  { cutAfter = Infinity }: { cutAfter?: number } = {},
): Promise<TcpProxy> {
  const sockets = new Set<Socket>()
  let isCut = false
  const server = createServer((client) => {
    const upstream = isCut ? null : connect(target.port, target.host)
    for (const socket of [client, upstream]) {
      if (!socket) continue
      sockets.add(socket)
      socket.on('error', () => socket.destroy())
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        upstream?.destroy()
      })
    }
    if (upstream) client.pipe(upstream).pipe(client)
    else client.destroy()
    client.on('data', () => client.bytesRead > cutAfter && cut())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => {
    isCut = true
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    heal() {
      isCut = false
    },
    async [Symbol.asyncDispose]() {
      cut()
      server.close()
      await once(server, 'close')
    },
  }
}
