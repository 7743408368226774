import { EventEmitter, once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import express from 'express'
import { expect, test } from 'vitest'
import { setActor } from '../../producer/auth.ts'
import { sendEvents } from '../../producer/server-events.ts'
import { hashToken } from '../../shared/catalog/tokens.ts'
import { startTestProducer, type TestProducer } from '../support/producer.ts'
import { until } from '../support/until.ts'
import { startProcess } from '../support/worker-process.ts'
import { expectProblem } from './problems.ts'

async function createBackup(producer: TestProducer): Promise<string> {
  const post = async (resource: string, body: unknown) =>
    (await producer.ask('POST', `/apps/v3/${resource}/`, { body })).body.uuid
  const media = join(producer.place.mediaRoot, 'shop')
  await mkdir(media)
  await writeFile(join(media, 'a'), 'a')
  const application = await post('applications', { slug: 'shop' })
  const environment = await post('environments', { application, slug: 'live', plan: null })
  await post('service-instances', { environment, type: 'STORAGE', connection: { url: pathToFileURL(media).href } })
  return post('backups', { environment })
}

function listen(
  { url, place }: TestProducer,
  path: string,
  abort: AbortController,
  token = place.adminToken,
): Promise<Response> {
  return fetch(new URL(path, url), { headers: { authorization: `Token ${token}` }, signal: abort.signal })
}

interface Sent {
  event: string
  data: { state: string; success: string | null; service_instance_backup_details: { state: string }[] }
}

const parse = (text: string): Sent[] =>
  [...text.matchAll(/^event: (\w+)\ndata: (.*)$/gm)].map(([, event = '', data = '']) => ({
    event,
    data: JSON.parse(data) as Sent['data'],
  }))

test('a listener that is gone before the stream begins is forgotten at once', async () => {
  let opened = false
  const served = Promise.withResolvers<undefined>()
  const app = express().get('/', (request, response) => {
    const actor = { tokenId: 'gone', name: 'gone', role: 'viewer', scope: { organisationId: null } }
    setActor(request, actor as Parameters<typeof setActor>[1])
    response.once('close', () => {
      const open = async function* () {
        opened = true
        await Promise.resolve()
        yield { event: 'progress', data: {} }
      }
      sendEvents(request, response, open).then(() => served.resolve(undefined), served.reject)
    })
    response.destroy()
  })
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`).catch(() => undefined)
  await served.promise
  expect(opened).toBe(false)
  server.close()
})

test('whoever listens to a backup hears where it is at once, of every change, and of its end', async () => {
  await using producer = await startTestProducer()
  const id = await createBackup(producer)
  const response = await listen(producer, `/apps/v3/backups/${id}/events/`, new AbortController())
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  const text = response.text()
  await using worker = startProcess('workers/main.ts', { env: producer.place.env })
  await worker.line(({ msg }) => msg === 'worker ready')
  const sent = parse(await text)
  expect(sent[0]).toMatchObject({
    event: 'progress',
    data: { state: 'QUEUED', service_instance_backup_details: [{ state: 'QUEUED' }] },
  })
  expect(sent.at(-1)).toMatchObject({
    event: 'end',
    data: { state: 'COMPLETED', success: 'SUCCESS', service_instance_backup_details: [{ state: 'COMPLETED' }] },
  })
  expect(sent.filter(({ event }) => event === 'end')).toHaveLength(1)
})

test('one that has ended says so at once; an unknown one and a foreign one are 404', async () => {
  await using producer = await startTestProducer()
  const id = await createBackup(producer)
  await producer.ask('POST', `/apps/v3/backups/${id}/cancel/`)
  const { text } = await producer.ask('GET', `/apps/v3/backups/${id}/events/`)
  expect(parse(text)).toMatchObject([{ event: 'end', data: { success: 'CANCELLED' } }])
  const { body: other } = await producer.ask('GET', '/apps/v3/backups/00000000-0000-4000-8000-000000000000/events/')
  expect(other).toMatchObject({ status: 404, code: 'NOT_FOUND' })
  const [foreign] = await producer.catalog.query<{ id: string }>(
    `INSERT INTO organisations (id, slug, name, created_at) VALUES (gen_random_uuid(), 'other', 'Other', now()) RETURNING id`,
  )
  const token = await producer.createToken('admin', foreign?.id)
  expectProblem(await producer.ask('GET', `/apps/v3/backups/${id}/events/`, { token }), 404, 'NOT_FOUND')
})

test('a token that listens twenty times is refused a further stream until one has ended', async () => {
  await using producer = await startTestProducer()
  const id = await createBackup(producer)
  const path = `/apps/v3/backups/${id}/events/`
  const all = Array.from({ length: 20 }, () => new AbortController())
  await Promise.all(all.map((abort) => listen(producer, path, abort)))
  const refused = await producer.ask('GET', path)
  expectProblem(refused, 429, 'TOO_MANY_ATTEMPTS')
  expect(refused.headers.get('retry-after')).toBe('2')
  all[0]?.abort()
  const taken = new AbortController()
  await until(async () => {
    const response = await listen(producer, path, taken)
    return response.ok || (await response.text()) === ''
  })
  for (const abort of [...all, taken]) abort.abort()
})

test('a producer that stops waits neither for listeners nor for connections that ask for nothing', async () => {
  await using producer = await startTestProducer()
  const id = await createBackup(producer)
  const { hostname, port } = new URL(producer.url)
  const silent = connect(Number(port), hostname)
  await once(silent, 'connect')
  const [restore] = await producer.catalog.query<{ id: string }>(
    'INSERT INTO restores (id, backup_id, created_at) VALUES (gen_random_uuid(), $1, now()) RETURNING id',
    [id],
  )
  const paths = [`/apps/v3/backups/${id}/events/`, `/apps/v3/backup-restores/${restore?.id ?? ''}/events/`]
  const responses = await Promise.all(paths.map((path) => listen(producer, path, new AbortController())))
  const begun = performance.now()
  const texts = Promise.all(responses.map((response) => response.text()))
  const [sent] = await Promise.all([texts, once(silent, 'close'), producer[Symbol.asyncDispose]()])
  for (const text of sent) expect(parse(text)).toMatchObject([{ event: 'progress' }])
  // Both would else be cut off when the time for draining is over.
  expect(performance.now() - begun).toBeLessThan(9_000)
})

test('a stream ends when its token is revoked or has expired, and others go on', async () => {
  await using producer = await startTestProducer()
  const id = await createBackup(producer)
  const path = `/apps/v3/backups/${id}/events/`
  const other = new AbortController()
  let isOtherOver = false
  const going = (await listen(producer, path, other))
    .text()
    .then(() => (isOtherOver = true))
    .catch(() => undefined)
  const texts = await Promise.all(
    ['revoked_at', 'expires_at'].map(async (column) => {
      const token = await producer.createToken('viewer')
      const response = await listen(producer, path, new AbortController(), token)
      await producer.catalog.query(`UPDATE tokens SET ${column} = now() WHERE sha256 = $1`, [hashToken(token)])
      return response.text()
    }),
  )
  for (const text of texts) expect(parse(text)).toMatchObject([{ event: 'progress' }])
  expect(isOtherOver).toBe(false)
  other.abort()
  await going
})

test('no event is made before the client has taken those before it, and none is waited for when it is gone', async () => {
  await using serving = await serveEvents()
  const { asked, socket, ended } = serving
  await until(() => Promise.resolve(asked.length > 0 && serving.isFull()))
  const before = asked.length
  socket.resume()
  await until(() => Promise.resolve(asked.length > before))
  expect(asked).not.toContain(true)
  socket.pause()
  await until(() => Promise.resolve(serving.isFull()))
  socket.destroy()
  await ended
})

/** Large events without end, to a client that reads nothing yet. `asked`: whether earlier ones still waited, for each that was made. */
async function serveEvents() {
  const asked: boolean[] = []
  const closed = new EventEmitter()
  let response: ServerResponse | null = null
  const app = express().get('/', async (request, answer) => {
    response = answer
    setActor(request, { tokenId: 'of a test', name: '', role: 'viewer', scope: { organisationId: null } })
    await sendEvents(request, answer, async function* (signal) {
      while (!signal.aborted && asked.length < 1_000) {
        asked.push(answer.writableNeedDrain)
        yield await Promise.resolve({ event: 'progress', data: 'x'.repeat(1_000_000) })
      }
    })
    closed.emit('ended')
  })
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const ended = once(closed, 'ended')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').pause()
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  return {
    asked,
    socket,
    ended,
    isFull: () => response?.writableNeedDrain === true,
    async [Symbol.asyncDispose]() {
      socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
