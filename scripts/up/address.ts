import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { CofferError } from '../../shared/errors.ts'

const FIRST_PORT = 8200
const PORTS_TRIED = 100

export interface Address {
  host: string
  port: number
  /** How this machine reaches it. */
  url: string
}

/** Where the producer is to listen: as given, else 127.0.0.1 and the first free port from 8200 on. */
export async function chooseAddress(given: Readonly<Record<string, string | undefined>>): Promise<Address> {
  const host = given.HOST ?? '127.0.0.1'
  const ports =
    given.PORT === undefined ? Array.from({ length: PORTS_TRIED }, (_, n) => FIRST_PORT + n) : [Number(given.PORT)]
  for (const port of ports) {
    const free = await listenOnce(host, port)
    if (free !== null) return { host, port: free, url: `http://${reachable(host)}:${free}` }
  }
  const tried = given.PORT === undefined ? `no port from ${FIRST_PORT} on is free` : `PORT: ${given.PORT} cannot be had`
  throw new CofferError('CONFIG_INVALID', `${tried} on ${host}`)
}

/** Resolves when the producer there says that it is healthy, or when the signal is aborted. */
export async function untilHealthy(url: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const answer = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(2_000) }).catch(() => null)
    await answer?.body?.cancel()
    if (answer?.ok === true) return
    await delay(50)
  }
}

async function listenOnce(host: string, port: number): Promise<number | null> {
  const probe = createServer()
  try {
    probe.listen(port, host)
    await once(probe, 'listening')
    const address = probe.address()
    return typeof address === 'object' && address !== null ? address.port : null
  } catch {
    return null
  } finally {
    probe.close()
  }
}

function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}
