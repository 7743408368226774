import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import express from 'express'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { bodyDeadline } from '../../producer/body-deadline.ts'
import { receiveUpload } from '../../producer/receive-upload.ts'
import { expireUploadsOf, openUpload } from '../../shared/catalog/uploads.ts'
import { openLog } from '../../shared/log.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { sampleBytes, sha256 } from '../support/streams.ts'
import {
  finish,
  objectsOf,
  send,
  services,
  stagedOf,
  startProducerOf,
  startPut,
  type CofferProducer,
  type UploadPart,
} from '../support/uploads.ts'
import { until } from '../support/until.ts'

const BYTES = sampleBytes(300_000)
const MOST = 1_000_000

let time: Date | null = null
let coffer: TestCoffer
let producer: CofferProducer
let backup: string
let part: UploadPart

beforeAll(async () => {
  coffer = await startTestCoffer()
  producer = await startProducerOf(coffer, {
    env: { COFFER_UPLOAD_MAX_BYTES: String(MOST) },
    clock: () => time ?? new Date(),
  })
})
beforeEach(async () => {
  time = null
  const { storage } = await services(coffer)
  const requested = await producer.request([storage])
  backup = requested.backup
  part = requested.parts[0] as UploadPart
})
afterAll(async () => {
  await producer[Symbol.asyncDispose]()
  await coffer[Symbol.asyncDispose]()
})

const idOf = ({ finish_url: url }: UploadPart) => new URL(url).pathname.split('/').at(-2) ?? ''

async function expectNothing(): Promise<void> {
  await until(async () => (await objectsOf(coffer, backup)).length === 0)
  await until(async () => (await Array.fromAsync(coffer.store.pendingUploads('uploads/'))).length === 0)
  expect(await finish(part)).toMatchObject({ status: 409, body: { code: 'CONFLICT' } })
}

test('what was sent is confirmed by size and SHA-256, and another one before the finish replaces it', async () => {
  expect(part).toMatchObject({
    handler: 'exo-presigned-v1',
    upload_parameters: { http_method: 'PUT', max_file_size: MOST },
  })
  expect(await send(part, Buffer.from('first'))).toMatchObject({ status: 200, body: { size: 5 } })
  const [first] = await stagedOf(coffer, backup)
  expect(await send(part, BYTES)).toMatchObject({ status: 200, body: { size: BYTES.length, sha256: sha256(BYTES) } })
  const staged = await stagedOf(coffer, backup)
  expect(staged).toHaveLength(1)
  expect(staged).not.toContain(first)
})

test('once it is finished, it takes nothing, and is finished once only', async () => {
  await send(part, BYTES)
  expect(await finish(part)).toMatchObject({ status: 200, body: { state: 'QUEUED' } })
  expect(await send(part, Buffer.from('late'))).toMatchObject({ status: 409, body: { code: 'CONFLICT' } })
  expect(await finish(part)).toMatchObject({ status: 409, body: { code: 'CONFLICT' } })
  expect(await stagedOf(coffer, backup)).toHaveLength(1)
})

test('what is still being sent when it is finished counts for nothing', async () => {
  await send(part, BYTES)
  const [staged] = await stagedOf(coffer, backup)
  const { request, answered } = startPut(part, 2000)
  request.write(Buffer.alloc(1000))
  await until(async () => (await Array.fromAsync(coffer.store.pendingUploads('uploads/'))).length === 1)
  expect(await finish(part)).toMatchObject({ status: 200 })
  request.end(Buffer.alloc(1000))
  expect((await answered)?.statusCode).toBe(409)
  await until(async () => (await stagedOf(coffer, backup)).length === 1)
  expect(await stagedOf(coffer, backup)).toEqual([staged])
})

describe('a body that', () => {
  test('breaks off leaves nothing', async () => {
    const { request, answered } = startPut(part, BYTES.length)
    request.write(BYTES.subarray(0, 100_000))
    await until(async () => (await Array.fromAsync(coffer.store.pendingUploads('uploads/'))).length === 1)
    request.destroy()
    expect(await answered).toBeNull()
    await expectNothing()
  })

  test('is shorter than it says leaves nothing', async () => {
    const { hostname, port, pathname, search } = new URL(part.upload_parameters.url)
    const socket = connect(Number(port), hostname)
    socket.end(`PUT ${pathname}${search} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nshort`)
    await once(socket.resume(), 'close')
    await expectNothing()
  })

  test.each([
    ['says that it is', MOST + 1],
    ['turns out to be', null],
  ])('%s too large is refused and leaves nothing', async (_how, length) => {
    const { request, answered } = startPut(part, length)
    request.on('error', () => undefined)
    request.write(Buffer.alloc(MOST))
    request.end(Buffer.alloc(1))
    expect((await answered)?.statusCode).toBe(413)
    await expectNothing()
  })

  test('is empty is refused', async () => {
    expect(await send(part, Buffer.alloc(0))).toMatchObject({ status: 400, body: { code: 'REQUEST_MALFORMED' } })
    await expectNothing()
  })

  test('moves no bytes for too long is let go', async () => {
    await using receiving = await receiveAlone({ idleSeconds: 0.2, holdSeconds: 60 })
    expect(await receiving.ended).toMatchObject({ code: 'RUN_STALLED' })
    await expectNothing()
  })

  test.each([
    ['is cancelled', () => producer.ask('POST', `/apps/v3/backups/${backup}/cancel/`)],
    ['expires with its token', () => coffer.catalog.transaction((tx) => expireUploadsOf(tx, madeBy, new Date()))],
  ])('is for an upload that %s is let go when its hold would be renewed', async (_how, end) => {
    const [row] = await coffer.catalog.query<{ id: string }>(
      'SELECT created_by AS id FROM uploads WHERE service_instance_backup_id = $1',
      [idOf(part)],
    )
    madeBy = row?.id ?? ''
    await using receiving = await receiveAlone({ idleSeconds: 600, holdSeconds: 0.3 })
    await until(async () => (await Array.fromAsync(coffer.store.pendingUploads('uploads/'))).length === 1)
    await end()
    expect(await receiving.ended).toMatchObject({ code: 'CONFLICT' })
    await until(async () => (await objectsOf(coffer, backup)).length === 0)
  })
})

let madeBy = ''

/** Receives a body that stops in its middle, by a server without the deadlines of the producer. */
async function receiveAlone({ idleSeconds, holdSeconds }: { idleSeconds: number; holdSeconds: number }) {
  const upload = await openUpload(coffer.catalog, idOf(part), new Date())
  const line = { at: new Date(), actor: null, address: '', action: 'test', targets: [], status: 200, code: null }
  const receiver = {
    catalog: coffer.catalog,
    clock: () => new Date(),
    log: openLog('test', 'silent'),
    openStore: () => Promise.resolve(coffer.store),
    settings: { idleSeconds, recipients: [] },
  }
  const server = createServer((request) => {
    receiveUpload(receiver, upload, request, { ...line, changes: {}, requestId: '' }, holdSeconds).then(
      () => server.emit('ended', null),
      (error: unknown) => server.emit('ended', error),
    )
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const ended = once(server, 'ended').then(([error]: unknown[]) => error)
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  socket.on('error', () => undefined).write('PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nshort')
  return {
    ended,
    [Symbol.asyncDispose]: async () => {
      socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

describe('a link', () => {
  test('that was altered, is for the other purpose, or of another upload gives nothing', async () => {
    await send(part, BYTES)
    const altered = async (url: string, method: string, change: (link: URL) => void) => {
      const link = new URL(url)
      change(link)
      const response = await fetch(link, { method, ...(method === 'PUT' ? { body: 'x' } : {}) })
      return response.status
    }
    const { url } = part.upload_parameters
    const signatureOf = (link: string) => new URL(link).searchParams.get('signature') ?? ''
    for (const [link, method, other] of [
      [url, 'PUT', part.finish_url],
      [part.finish_url, 'POST', url],
    ] as const) {
      expect(await altered(link, method, (at) => at.searchParams.set('signature', '0'.repeat(64)))).toBe(404)
      expect(await altered(link, method, (at) => at.searchParams.set('signature', signatureOf(other)))).toBe(404)
      expect(await altered(link, method, (at) => at.searchParams.delete('signature'))).toBe(404)
      expect(await altered(link, method, (at) => (at.pathname = at.pathname.replace(idOf(part), randomUUID())))).toBe(
        404,
      )
    }
    expect(await altered(url, 'GET', () => undefined)).toBe(405)
    expect(await altered(part.finish_url, 'GET', () => undefined)).toBe(405)
    expect(await stagedOf(coffer, backup)).toHaveLength(1)
  })

  test('is not replaced by any token: without the signature nobody finishes or sends anything', async () => {
    await send(part, BYTES)
    const headers = { authorization: `Token ${producer.adminToken}` }
    const bare = part.finish_url.replace(/\?.*/, '')
    expect((await fetch(bare, { method: 'POST', headers })).status).toBe(404)
    const put = part.upload_parameters.url.replace(/\?.*/, '')
    expect((await fetch(put, { method: 'PUT', headers, body: 'x' })).status).toBe(404)
  })

  test('expires, for sending and for finishing; what came at the last moment can be finished an hour long', async () => {
    const expiresIn = (seconds: number) => new Date(Date.now() + seconds * 1000)
    time = expiresIn(86_300)
    await send(part, BYTES)
    time = expiresIn(86_500)
    expect(await send(part, BYTES)).toMatchObject({ status: 200 })
    time = expiresIn(86_500 + 3_700)
    expect(await send(part, BYTES)).toMatchObject({ status: 410, body: { code: 'LINK_EXPIRED' } })
    expect(await finish(part)).toMatchObject({ status: 410, body: { code: 'LINK_EXPIRED' } })
  })
})

test('an upload is asked for by operators, for services of their own organisation, and with at least one', async () => {
  const ask = async (body: object, token?: string) =>
    (await producer.ask('POST', '/apps/v3/backups/upload/', { body, ...(token === undefined ? {} : { token }) })).status
  const { storage } = await services(coffer)
  const body = { environment: coffer.environmentId, services: [storage] }
  expect(await ask(body)).toBe(201)
  expect(await ask({ ...body, services: [] })).toBe(422)
  expect(await ask({ ...body, services: [randomUUID()] })).toBe(404)
  expect(await ask({ ...body, environment: randomUUID() })).toBe(404)
  expect(await ask({ ...body, scheduled_for_deletion_at: '2001-01-01T00:00:00Z' })).toBe(422)
  expect((await producer.ask('GET', '/apps/v3/backups/upload/')).status).toBe(405)
})

describe('the deadline of bodies', () => {
  async function serve(ms: number) {
    const app = express()
    app.put('/upload', (request, response) => void request.resume().once('end', () => response.end('whole')))
    app.use(bodyDeadline(ms))
    app.use((request, response) => void request.resume().once('end', () => response.end('whole')))
    const server = createServer({ requestTimeout: 0 }, app).listen(0, '127.0.0.1')
    await once(server, 'listening')
    return server
  }

  async function dribble(server: ReturnType<typeof createServer>, path: string, pieces: number): Promise<string> {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
    const answer: Buffer[] = []
    const closed = once(
      socket.on('data', (data: Buffer) => answer.push(data)).on('error', () => undefined),
      'close',
    )
    socket.write(`PUT ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${pieces}\r\n\r\n`)
    for (let sent = 0; sent < pieces && !socket.destroyed; sent++) {
      socket.write('x')
      await delay(20)
    }
    await closed
    return Buffer.concat(answer).toString()
  }

  test('J ends a body that dribbles, and lets one of an upload flow on', async () => {
    const server = await serve(100)
    expect(await dribble(server, '/other', 50)).toMatch(/^HTTP\/1\.1 408 /)
    expect(await dribble(server, '/upload', 10)).toMatch(/whole$/)
    server.close()
  })
})
