import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import type { Bucket } from './bucket.ts'
import { readCall } from './call.ts'
import type { Call } from './call.ts'
import { Faults } from './faults.ts'
import type { Effect, Fault, FaultScript } from './faults.ts'
import { errorReply, sendReply } from './reply.ts'
import { answer } from './router.ts'
import type { Settings } from './router.ts'
import { S3Error } from './s3-error.ts'
import type { Credentials } from './sigv4.ts'

export interface S3ServerOptions extends Partial<Settings> {
  bucket?: string
  prefix?: string
  port?: number
  /** Joined to the store URL, for example `storageClass=&maxParts=5`. */
  parameters?: string
}

/** One request as it came and was answered. `status` stays undefined while it is under way, null when no answer was sent. */
export interface LoggedRequest {
  op: string
  key: string
  query: Record<string, string>
  headers: IncomingMessage['headers']
  status: number | null | undefined
}

export interface S3Server {
  /** Store URL for openStore. */
  url: string
  endpoint: string
  /** For the environment of a process. */
  credentials: { AWS_ACCESS_KEY_ID: string; AWS_SECRET_ACCESS_KEY: string }
  /** The same for openStore. */
  keys: Credentials
  requests: LoggedRequest[]
  /** What the server holds, to look at. */
  bucket: Bucket
  fault(script: FaultScript): Fault
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

const STORAGE_CLASSES = ['STANDARD', 'STANDARD_IA', 'ONEZONE_IA', 'INTELLIGENT_TIERING', 'GLACIER_IR']

/** An S3 server for tests on a free port of loopback: right semantics, and faults on demand. */
export async function startS3Server(options: S3ServerOptions = {}): Promise<S3Server> {
  const { bucket: name = 'test-bucket', prefix = 'backups', parameters = '', port = 0 } = options
  const settings: Settings = {
    credentials: { accessKeyId: 'test-access-key', secretAccessKey: 'test-secret-key' },
    clock: () => new Date(),
    keep: 'memory',
    pageSize: 1000,
    maxParts: 10_000,
    storageClasses: STORAGE_CLASSES,
    ...options,
  }
  const bucket: Bucket = { name, objects: new Map(), uploads: new Map() }
  const faults = new Faults()
  const requests: LoggedRequest[] = []
  const server = createServer((req, res) => {
    void handle(bucket, settings, faults, requests, req, res)
  })
  server.requestTimeout = 0
  server.keepAliveTimeout = 60_000
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const close = async () => {
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  }
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const { accessKeyId, secretAccessKey } = settings.credentials
  return {
    url: `s3://${name}/${prefix}?endpoint=${endpoint}&region=us-east-1&forcePathStyle=true${parameters && `&${parameters}`}`,
    endpoint,
    credentials: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    keys: settings.credentials,
    requests,
    bucket,
    fault: (script) => faults.add(script),
    close,
    [Symbol.asyncDispose]: close,
  }
}

async function handle(
  bucket: Bucket,
  settings: Settings,
  faults: Faults,
  requests: LoggedRequest[],
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const call = readCall(req)
  const { op, key, headers } = call
  const entry: LoggedRequest = { op, key, headers, query: Object.fromEntries(call.query), status: undefined }
  requests.push(entry)
  res.once('finish', () => (entry.status = res.statusCode))
  res.once('close', () => (entry.status ??= null))
  // Clients set their clocks by it.
  res.setHeader('date', settings.clock().toUTCString())
  const effect = faults.strike(op, key)
  try {
    if (effect && (await interrupt(req, effect, call))) return
    const reply = await answer(bucket, call, req, settings).catch(errorReply)
    if (effect?.kind === 'drop-reply') req.socket.destroy()
    else {
      req.resume()
      await sendReply(req, res, reply, effect)
    }
  } catch (error) {
    if (error instanceof S3Error) {
      req.resume()
      await sendReply(req, res, errorReply(error), undefined)
    } else if (!res.destroyed) res.destroy()
  }
}

/** Effects that come before the request is carried out. True: nobody will be answered. */
async function interrupt(req: IncomingMessage, effect: Effect, call: Call): Promise<boolean> {
  switch (effect.kind) {
    case 'status':
      throw new S3Error(effect.code, `a fault of the test: ${effect.code}`, effect.status)
    case 'error-in-200':
      throw new S3Error(effect.code, 'We encountered an internal error. Please try again.', 200)
    case 'delay':
      await setTimeout(effect.ms)
      return false
    case 'stall':
      return effect.when === 'before-headers'
    case 'reset':
      if (call.op === 'GetObject') return false
      await skipBytes(req, effect.afterBytes)
      req.socket.resetAndDestroy()
      return true
    default:
      return false
  }
}

async function skipBytes(req: IncomingMessage, count: number): Promise<void> {
  let left = count
  for await (const chunk of req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    left -= chunk.length
    if (left <= 0) return
  }
}
