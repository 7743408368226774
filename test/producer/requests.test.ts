import { randomUUID } from 'node:crypto'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestProducer, type TestProducer } from '../support/producer.ts'
import { expectProblem } from './problems.ts'

let producer: TestProducer
let app: string
let env: string
beforeAll(async () => {
  producer = await startTestProducer()
  app = (await post('applications', { slug: 'shop' })).body.uuid
  env = (await post('environments', { application: app, slug: 'live' })).body.uuid
})
afterAll(() => producer[Symbol.asyncDispose]())

const post = (resource: string, body: unknown, headers: Record<string, string> = {}) =>
  producer.ask('POST', `/apps/v3/${resource}/`, { body, headers })

const nobody = randomUUID()

test.each([
  ['GET', '/apps/v3/applications/:id/', 'application'],
  ['PATCH', '/apps/v3/applications/:id/', 'application'],
  ['DELETE', '/apps/v3/applications/:id', 'application'],
  ['GET', '/apps/v3/environments/:id', 'environment'],
  ['PATCH', '/apps/v3/environments/:id/', 'environment'],
  ['DELETE', '/apps/v3/environments/:id/', 'environment'],
  ['GET', '/apps/v3/service-instances/:id/', 'service instance'],
  ['PATCH', '/apps/v3/service-instances/:id/', 'service instance'],
  ['DELETE', '/apps/v3/service-instances/:id/', 'service instance'],
  ['GET', '/apps/v3/backups/:id/', 'backup'],
  ['POST', '/apps/v3/backups/:id/retry/', 'backup'],
  ['POST', '/apps/v3/backups/:id/cancel', 'backup'],
  ['GET', '/apps/v3/service-instance-backups/:id/', 'service-instance backup'],
  ['GET', '/apps/v3/backup-download-service-instances/:id/', 'backup-download service instance'],
  ['GET', '/apps/v3/backup-restores/:id/', 'restore'],
])(
  '%s %s answers an unknown or malformed id with 404 that names the resource and the id',
  async (method, path, what) => {
    for (const id of [nobody, 'not-a-uuid', "1'%20OR%201=1", '%00', '__proto__']) {
      const answer = await producer.ask(method, path.replace(':id', id))
      expectProblem(answer, 404, 'NOT_FOUND')
      expect(answer.body.detail).toBe(`there is no ${what} ${decodeURIComponent(id)}`)
    }
  },
)

test.each([
  ['environments', { application: nobody, slug: 'live' }, `there is no application ${nobody}`],
  [
    'service-instances',
    { environment: nobody, type: 'STORAGE', connection: { url: 'file:///x' } },
    `there is no environment ${nobody}`,
  ],
  ['backups', { environment: nobody }, `there is no environment ${nobody}`],
  ['backup-downloads', { backup: nobody }, `there is no backup ${nobody}`],
  [
    'backup-restores',
    { backup: nobody, service_instance_restores: [{ service_instance_backup: nobody }] },
    `there is no backup ${nobody}`,
  ],
  ['applications', { slug: 'x', organisation: nobody }, `there is no organisation ${nobody}`],
])('POST %s that refers to an unknown id is a 404 that names it', async (resource, body, detail) => {
  const answer = await post(resource, body)
  expectProblem(answer, 404, 'NOT_FOUND')
  expect(answer.body.detail).toBe(detail)
})

test('an unknown plan, store or service of a known environment is a 404 that names it', async () => {
  for (const field of ['plan', 'store']) {
    const answer = await producer.ask('PATCH', `/apps/v3/environments/${env}/`, { body: { [field]: nobody } })
    expectProblem(answer, 404, 'NOT_FOUND')
    expect(answer.body.detail).toBe(`there is no ${field} ${nobody}`)
  }
  const answer = await post('backups', { environment: env, services: [nobody] })
  expectProblem(answer, 404, 'NOT_FOUND')
  expect(answer.body.detail).toContain(nobody)
})

test('what is there already is a 409 that names it', async () => {
  expectProblem(await post('applications', { slug: 'shop' }), 409, 'CONFLICT')
  expectProblem(await post('environments', { application: app, slug: 'live' }), 409, 'CONFLICT')
  const again = { environment: env, type: 'DATABASE', prefix: 'TWICE', connection: { url: 'postgres://a@b/c' } }
  expect((await post('service-instances', again)).status).toBe(201)
  const second = await post('service-instances', again)
  expectProblem(second, 409, 'CONFLICT')
  expect(second.body.detail).toContain('TWICE')
})

test('bodies that are no JSON object are refused by what is wrong with them', async () => {
  const path = '/apps/v3/applications/'
  const send = (body: string, headers: Record<string, string> = {}) => producer.ask('POST', path, { body, headers })
  expectProblem(await send('{"slug": '), 400, 'REQUEST_MALFORMED')
  expectProblem(await send('"text"'), 400, 'REQUEST_MALFORMED')
  expectProblem(await send('[]'), 422, 'REQUEST_INVALID')
  expectProblem(await send(''.padEnd(200_000)), 413, 'REQUEST_TOO_LARGE')
  expectProblem(await send('{}', { 'content-type': 'text/plain' }), 415, 'MEDIA_TYPE_UNSUPPORTED')
  expectProblem(
    await send('a=b', { 'content-type': 'application/x-www-form-urlencoded' }),
    415,
    'MEDIA_TYPE_UNSUPPORTED',
  )
  expectProblem(await send('{}', { 'content-type': 'application/json; charset=latin1' }), 415, 'MEDIA_TYPE_UNSUPPORTED')
  expectProblem(await send('{}', { 'content-encoding': 'compress' }), 415, 'MEDIA_TYPE_UNSUPPORTED')
  expectProblem(await send('['.repeat(90_000)), 400, 'REQUEST_MALFORMED')
  expectProblem(await producer.ask('POST', path), 422, 'REQUEST_INVALID')
  const bomb = await fetch(new URL(path, producer.url), {
    method: 'POST',
    body: gzipSync(Buffer.alloc(50_000_000)),
    headers: {
      authorization: `Token ${producer.place.adminToken}`,
      'content-type': 'application/json',
      'content-encoding': 'gzip',
    },
  })
  expect(bomb.status).toBe(413)
})

test('__proto__ in a body changes nothing but the answer', async () => {
  const answer = await post('applications', '{"slug": "proto", "__proto__": {"name": "evil"}, "constructor": {}}')
  expectProblem(answer, 422, 'REQUEST_INVALID')
  expect(({} as Record<string, unknown>)['name']).toBeUndefined()
})

test('a GET may carry a body, and nobody reads it', async () => {
  const url = new URL(producer.url)
  for (const body of ['{}', '{broken', 'x'.repeat(150_000)]) {
    const socket = connect(Number(url.port), url.hostname)
    socket.write(
      `GET /iam/v3/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${producer.place.adminToken}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    )
    let reply = ''
    for await (const chunk of socket) reply += String(chunk)
    expect(reply).toMatch(/^HTTP\/1\.1 200 /)
  }
})

test('a wrong method is a 405 that lists the right ones; an unknown path is a 404', async () => {
  const wrong = await producer.ask('PUT', '/apps/v3/backups/')
  expectProblem(wrong, 405, 'METHOD_NOT_ALLOWED')
  expect(wrong.headers.get('allow')).toBe('GET, HEAD, POST')
  expect((await producer.ask('DELETE', `/apps/v3/backups/${nobody}/retry/`)).headers.get('allow')).toBe('POST')
  expectProblem(await producer.ask('POST', '/healthz'), 405, 'METHOD_NOT_ALLOWED')
  expectProblem(await producer.ask('GET', '/apps/v3/nothing/'), 404, 'NOT_FOUND')
  expectProblem(await producer.ask('GET', '/nothing'), 404, 'NOT_FOUND')
  expectProblem(await producer.ask('GET', '/apps/v3/backups/%E0%A4%A/'), 400, 'REQUEST_MALFORMED')
  expect((await producer.ask('HEAD', '/apps/v3/backups/')).status).toBe(200)
})

test('lists come in pages with addresses of the next and the previous one', async () => {
  for (const slug of ['page-a', 'page-b', 'page-c']) await post('environments', { application: app, slug })
  const first = await producer.ask('GET', `/apps/v3/environments?application=${app}&page_size=2`)
  expect(first.body).toMatchObject({ count: 4, previous: null })
  expect(first.body.results).toHaveLength(2)
  const second = await producer.ask('GET', first.body.next)
  expect(second.body).toMatchObject({ count: 4, next: null })
  const slugs = [...first.body.results, ...second.body.results].map((one) => one.slug)
  expect(slugs).toEqual(['live', 'page-a', 'page-b', 'page-c'])
  expect((await producer.ask('GET', second.body.previous)).body.results).toEqual(first.body.results)
  const beyond = await producer.ask('GET', `/apps/v3/environments/?application=${app}&page=99&page_size=2`)
  expect(beyond.body).toMatchObject({ next: null, results: [] })
  expect((await producer.ask('GET', beyond.body.previous)).body.results).toHaveLength(2)
})

test.each([
  ['applications', 'page=0', 'page'],
  ['applications', 'page_size=1001', 'page_size'],
  ['applications', 'page=1e3', 'page'],
  ['applications', 'page=1&page=2', 'page'],
  ['applications', 'slug=a&slug=b', 'slug'],
  ['environments', 'application=nonsense', 'application'],
  ['backups', 'state=DONE', 'state'],
  ['backups', 'enviroment=typo', 'enviroment'],
])('GET %s?%s is refused for %s, since a filter that is ignored shows too much', async (resource, query, field) => {
  const answer = await producer.ask('GET', `/apps/v3/${resource}/?${query}`)
  expectProblem(answer, 422, 'REQUEST_INVALID')
  expect(answer.body.errors).toEqual([{ field, message: expect.any(String) as string }])
})

test('a request id is taken over when it is harmless and made up otherwise', async () => {
  const path = '/apps/v3/plans/'
  expect(
    (await producer.ask('GET', path, { headers: { 'x-request-id': 'trace-1.2' } })).headers.get('x-request-id'),
  ).toBe('trace-1.2')
  const replaced = await producer.ask('GET', path, { headers: { 'x-request-id': '<script>' } })
  expect(replaced.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
})

test('plans and stores can be listed, with the defaults that every installation has', async () => {
  const plans = await producer.ask('GET', '/apps/v3/plans/')
  expect(plans.body.results.map(({ slug, is_shipped: isShipped }) => [slug, isShipped])).toEqual([
    ['default', true],
    ['hourly', true],
    ['none', true],
  ])
  const stores = await producer.ask('GET', '/apps/v3/stores/')
  expect(stores.body.results).toMatchObject([{ name: 'default', region: 'local', is_default: true }])
})
