import { randomUUID } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Readable } from 'node:stream'
import { onTestFinished } from 'vitest'
import { openStore } from '../../shared/storage/open-store.ts'
import type { OpenStoreOptions } from '../../shared/storage/open-store.ts'
import type { Store } from '../../shared/storage/store.ts'
import { startS3Server } from '../support/s3-server/server.ts'
import type { S3Server, S3ServerOptions } from '../support/s3-server/server.ts'
import { collect } from './conformance.ts'

export const MIB = 1024 * 1024

/** Retries at once, and patient enough for a busy machine. */
export const QUICK = { connectMs: 5_000, idleMs: 10_000, patienceMs: 20_000, uploadPatienceMs: 20_000, firstDelayMs: 5 }

/** For tests in which something falls silent. */
export const IMPATIENT = { idleMs: 400 }

/** A server and a store on it for one test. */
export async function startRig(
  options: S3ServerOptions = {},
  { credentials, timing }: OpenStoreOptions = {},
): Promise<{ server: S3Server; store: Store; ops: () => string[] }> {
  const server = await startS3Server({ prefix: randomUUID(), ...options })
  const store = openStore(server.url, { credentials: credentials ?? server.keys, timing: { ...QUICK, ...timing } })
  onTestFinished(async () => {
    store.close()
    await server.close()
  })
  return { server, store, ops: () => server.requests.map(({ op }) => op) }
}

/** The steps that are reached for a key, as they are reached. */
export function recordSteps(key: string): string[] {
  const steps: string[] = []
  const listener = (message: unknown) => {
    const { step, key: of } = message as { step: string; key?: string }
    if (of === key) steps.push(step)
  }
  subscribe('coffer:step', listener)
  onTestFinished(() => void unsubscribe('coffer:step', listener))
  return steps
}

/** Each with as little as it needs. */
export const everyMethod: [string, (store: Store) => Promise<unknown>][] = [
  ['write', (store) => store.write('object', Readable.from([Buffer.from('bytes')]))],
  ['read', (store) => store.read('object')],
  ['head', (store) => store.head('object')],
  ['delete', (store) => store.delete('object')],
  ['list', (store) => collect(store.list(''))],
  ['pendingUploads', (store) => collect(store.pendingUploads(''))],
  ['abortUpload', (store) => store.abortUpload({ key: 'object', uploadId: 'x', startedAt: new Date(0) })],
  ['check', (store) => store.check()],
]
