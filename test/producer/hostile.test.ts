import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createHttpServer } from '../../producer/http-server.ts'
import { openLog } from '../../shared/log.ts'
import { startTestProducer, type TestProducer } from '../support/producer.ts'

// What no client of good will sends, much of it by raw sockets (F39).

let producer: TestProducer
beforeAll(async () => {
  producer = await startTestProducer()
})
afterAll(() => producer[Symbol.asyncDispose]())

/** Sends the bytes as they are, and gives all that comes back until the connection ends. */
async function exchange(url: string, ...chunks: (string | Buffer)[]): Promise<string> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  for (const chunk of chunks) socket.write(chunk)
  let reply = ''
  try {
    for await (const chunk of socket) reply += String(chunk)
  } catch {
    // Reset by the server: what has come until then counts.
  }
  return reply
}

const head = (line: string, ...headers: string[]) =>
  [line, 'Host: x', `Authorization: Token ${producer.place.adminToken}`, ...headers, '', ''].join('\r\n')

function expectRawProblem(reply: string, status: number, code: string): void {
  expect(reply).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
  expect(reply).toContain('application/problem+json')
  const body: unknown = JSON.parse(reply.slice(reply.indexOf('\r\n\r\n')))
  expect(body).toMatchObject({ status, code, request_id: expect.any(String) as string })
  expect(reply).not.toMatch(/node_modules|\.ts:|at \w+ \(/)
}

test.each([
  ['no HTTP at all', 'GET GARBAGE\r\n\r\n'],
  ['bytes of TLS', Buffer.from('16030100a5010000a10303', 'hex')],
  ['two lengths', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'],
  ['a length and chunks', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['a negative length', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n'],
  ['a header with a line feed of its own', 'GET / HTTP/1.1\r\nHost: x\r\nA: b\n c\r\n\r\n'],
])('%s is a problem document with 400 and the end of the connection', async (_what, bytes) => {
  expectRawProblem(await exchange(producer.url, bytes), 400, 'REQUEST_MALFORMED')
})

test('headers that are too large are a 431', async () => {
  const reply = await exchange(producer.url, head('GET / HTTP/1.1', `X-Long: ${'x'.repeat(20_000)}`))
  expectRawProblem(reply, 431, 'HEADERS_TOO_LARGE')
})

test('garbage behind a good request gets no answer inside that of the request', async () => {
  const reply = await exchange(producer.url, head('GET /iam/v3/me/ HTTP/1.1'), '\0\0\0\r\n\r\n')
  expect(reply.match(/HTTP\/1\.1/g)?.length ?? 0).toBeLessThanOrEqual(1)
  expect((await producer.ask('GET', '/iam/v3/me/')).status).toBe(200)
})

test.each([
  ['headers', 'GET / HTTP/1.1\r\nHost: x\r\nX-Slow: '],
  ['a body', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nfirst'],
])('who keeps us waiting for %s is told 408 and put out', async (what, bytes) => {
  const patience = { headers: 100, request: 200, check: 20 }
  const server = createHttpServer((request) => void request.resume(), openLog('test', 'silent'), patience)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    const reply = await exchange(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, bytes)
    // Where the request is being handled already, its connection ends without a second answer.
    if (what === 'headers') expectRawProblem(reply, 408, 'REQUEST_TIMEOUT')
    else expect(reply).toBe('')
  } finally {
    server.close()
  }
})

const post = (body: string | Buffer, ...headers: string[]) =>
  exchange(
    producer.url,
    head(
      'POST /apps/v3/applications/ HTTP/1.1',
      'Content-Type: application/json',
      'Connection: close',
      `Content-Length: ${Buffer.byteLength(body)}`,
      ...headers,
    ),
    body,
  )

test.each([
  ['half of a document', '{"slug": "a', 400, 'REQUEST_MALFORMED'],
  ['bad UTF-8', Buffer.from([...Buffer.from('{"slug": "'), 0xc3, 0x28, ...Buffer.from('"}')]), 422, 'REQUEST_INVALID'],
  ['a lone surrogate', '{"slug": "\\ud800"}', 422, 'REQUEST_INVALID'],
  ['a lone surrogate in free text', '{"slug": "a", "name": "\\ud800"}', 422, 'REQUEST_INVALID'],
  ['a NUL', '{"slug": "a\\u0000"}', 422, 'REQUEST_INVALID'],
  ['a NUL deep within', '{"slug": "a", "selection": {"paths": [{"a\\u0000": 1}]}}', 422, 'REQUEST_INVALID'],
  ['a deep nest of lists', '['.repeat(40_000) + ']'.repeat(40_000), 400, 'REQUEST_MALFORMED'],
  ['a deep nest of objects', '{"slug":'.repeat(9_000) + '1' + '}'.repeat(9_000), 400, 'REQUEST_MALFORMED'],
  ['a huge whole number', '{"slug": 1e400}', 422, 'REQUEST_INVALID'],
  ['a number where text is wanted', '{"slug": 9007199254740993}', 422, 'REQUEST_INVALID'],
  ['a list of documents', '[{"slug": "a"}]', 422, 'REQUEST_INVALID'],
  ['__proto__', '{"slug": "a", "__proto__": {"role": "admin"}}', 422, 'REQUEST_INVALID'],
  ['20 MB', ' '.repeat(20_000_000), 413, 'REQUEST_TOO_LARGE'],
])('%s is refused by what is wrong with it', async (_what, body, status, code) => {
  const reply = await post(body)
  // Who goes on sending after the refusal may lose the answer with the connection.
  if (reply !== '' || status !== 413) expectRawProblem(reply, status, code)
})

test('a NUL where only the database would refuse it, and six characters that spell one, make nothing fail', async () => {
  const nobody = '00000000-0000-4000-8000-000000000000'
  const restore = { backup: nobody, confirm: 'shop/live\0', selection: { paths: ['a\0'] } }
  const refused = await producer.ask('POST', '/apps/v3/backup-restores/', { body: restore })
  expect(refused.body).toMatchObject({ status: 422, code: 'REQUEST_INVALID' })
  const slug = `app-${nobody.slice(0, 8)}`
  const { body: app } = await producer.ask('POST', '/apps/v3/applications/', { body: { slug } })
  const made = await producer.ask('POST', '/apps/v3/environments/', { body: { application: app.uuid, slug: 'live' } })
  const spelled = { environment: made.body.uuid, notes: String.raw`C:\u0000` }
  const answer = await producer.ask('POST', '/apps/v3/backups/', { body: spelled })
  expect(answer.status, answer.text).toBeLessThan(500)
  const audit = await producer.ask('GET', '/apps/v3/audit/?page_size=1')
  expect(audit.body.results[0]).toMatchObject({ action: 'POST /apps/v3/backups/' })
})

test('a NUL in the id of a plan, which may be a slug too, or of a key, is an id that nothing has', async () => {
  for (const [method, path] of [
    ['GET', '/apps/v3/plans/%00/'],
    ['DELETE', '/apps/v3/plans/%00/'],
    ['GET', '/apps/v3/keys/%00/backups/'],
    ['POST', '/apps/v3/keys/%00/retire/'],
  ] as const)
    expect([path, (await producer.ask(method, path)).status]).toEqual([path, 404])
})
