import { once } from 'node:events'
import { createServer } from 'node:net'
import { Queue } from 'bullmq'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestProducer, type Answer, type TestProducer } from '../support/producer.ts'

let producer: TestProducer
beforeAll(async () => {
  producer = await startTestProducer()
})
afterAll(() => producer[Symbol.asyncDispose]())

const form = { 'content-type': 'application/x-www-form-urlencoded' }
const HTML = { accept: 'text/html' }

const postLogin = (at: TestProducer, token: string, headers: Record<string, string> = { origin: at.url }) =>
  at.ask('POST', '/login', {
    token: null,
    body: `token=${encodeURIComponent(token)}`,
    headers: { ...form, ...headers },
  })

const cookieOf = (answer: Answer) => (answer.headers.get('set-cookie') ?? '').split(';')[0] ?? ''

async function loginAs(at: TestProducer, token: string): Promise<Record<string, string>> {
  return { cookie: cookieOf(await postLogin(at, token)), origin: at.url }
}

test('pages lead strangers to the login; what a script asks for is a 401', async () => {
  for (const path of ['/', '/queues', '/queues/queue/dump']) {
    const answer = await producer.ask('GET', path, { token: null, headers: HTML })
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/login'])
  }
  for (const path of ['/queues/api/queues', '/queues/static/js/main.js'])
    expect((await producer.ask('GET', path, { token: null })).body, path).toMatchObject({ status: 401 })
  // The API's header opens no page, and a session opens no API.
  expect((await producer.ask('GET', '/queues/api/queues')).status).toBe(401)
  const session = await loginAs(producer, producer.place.adminToken)
  expect((await producer.ask('GET', '/apps/v3/backups/', { token: null, headers: session })).status).toBe(401)
})

test('a login sets a cookie that scripts and other sites never get; a wrong token is told so; logging out ends it', async () => {
  expect((await producer.ask('GET', '/login', { token: null })).text).toContain('<form method="post" action="/login">')
  const wrong = await postLogin(producer, '"><script>')
  expect(wrong.status).toBe(401)
  expect(wrong.text).not.toContain('<script>')
  expect(wrong.text).toContain('<p class="error" role="alert">the token is unknown, has expired or was revoked</p>')
  const right = await postLogin(producer, producer.place.adminToken)
  expect([right.status, right.headers.get('location')]).toEqual([303, '/'])
  expect(right.headers.get('set-cookie')).toMatch(
    /^coffer_session=[^;]+; Max-Age=43200; Path=\/; Expires=[^;]+; HttpOnly; SameSite=Strict$/,
  )
  expect(right.headers.get('set-cookie')).not.toContain(producer.place.adminToken)
  const headers = { cookie: cookieOf(right), origin: producer.url }
  expect((await producer.ask('GET', '/', { token: null, headers })).status).toBe(200)
  const out = await producer.ask('POST', '/logout', { token: null, headers })
  expect(out.headers.get('set-cookie')).toMatch(/^coffer_session=; .*Expires=Thu, 01 Jan 1970/)
})

test('a session that was altered or outlived opens nothing', async () => {
  let time = Date.now()
  await using aging = await startTestProducer({ clock: () => new Date(time) })
  const session = await loginAs(aging, aging.place.adminToken)
  const open = async (cookie: string) =>
    (await aging.ask('GET', '/', { token: null, headers: { ...HTML, cookie } })).status
  const cookie = session['cookie'] ?? ''
  expect(await open(cookie)).toBe(200)
  expect(await open(cookie.replace(/.$/, (last) => (last === '0' ? '1' : '0')))).toBe(303)
  expect(await open(cookie.replace(/\.\d+\./, (expires) => `.${Number(expires.slice(1, -1)) + 1}.`))).toBe(303)
  expect(await open('coffer_session=..')).toBe(303)
  time += 12 * 3_600_000 + 1000
  expect(await open(cookie)).toBe(303)
})

test('a revoked token ends its sessions', async () => {
  const token = await producer.createToken('viewer')
  const headers = { ...HTML, ...(await loginAs(producer, token)) }
  expect((await producer.ask('GET', '/', { token: null, headers })).status).toBe(200)
  await producer.catalog.query(`UPDATE tokens SET revoked_at = now() WHERE role = 'viewer'`)
  expect((await producer.ask('GET', '/', { token: null, headers })).status).toBe(303)
})

test('what another site makes a browser send is refused', async () => {
  const session = await loginAs(producer, producer.place.adminToken)
  for (const origin of ['https://evil.example', 'null', `${producer.url}.evil.example`]) {
    expect((await postLogin(producer, producer.place.adminToken, { origin })).status, origin).toBe(403)
    const headers = { ...session, origin }
    expect((await producer.ask('PUT', '/queues/api/queues/dump/retry/failed', { token: null, headers })).status).toBe(
      403,
    )
    expect((await producer.ask('POST', '/logout', { token: null, headers })).status).toBe(403)
  }
  // Without an Origin nobody knows whose page it was.
  const { cookie = '' } = session
  expect((await postLogin(producer, producer.place.adminToken, {})).status).toBe(403)
  for (const [method, path] of [
    ['PUT', '/queues/api/queues/dump/clean/failed'],
    ['POST', '/logout'],
  ] as const)
    expect((await producer.ask(method, path, { token: null, headers: { cookie } })).status).toBe(403)
})

test('every page forbids scripts and frames of others', async () => {
  const { headers } = await producer.ask('GET', '/login', { token: null })
  const policy = headers.get('content-security-policy') ?? ''
  expect(policy).toContain("script-src 'self'")
  expect(policy).toContain("frame-ancestors 'none'")
  expect(policy).not.toContain('upgrade-insecure-requests')
  expect(headers.get('referrer-policy')).toBe('same-origin')
  expect(headers.get('x-content-type-options')).toBe('nosniff')
  expect(headers.get('x-powered-by')).toBeNull()
  expect((await producer.ask('GET', '/assets/coffer.css', { token: null })).headers.get('content-type')).toContain(
    'text/css',
  )
})

test('the first page shows the latest backups with what their notes say, as text, and only those of the own organisation', async () => {
  const post = async (resource: string, body: unknown) =>
    (await producer.ask('POST', `/apps/v3/${resource}/`, { body })).body.uuid
  const application = await post('applications', { slug: 'shop' })
  const environment = await post('environments', { application, slug: 'live' })
  await post('service-instances', {
    environment,
    type: 'DATABASE',
    connection: { url: 'postgres://a:canary-4711@b/c' },
  })
  const backup = await post('backups', { environment, notes: `<img src=x onerror=alert(1)> & "it's"` })
  await producer.catalog.query(
    `UPDATE service_instance_backups SET state = 'RUNNING', stored_size = 1536, progress = '{"plain_bytes": 5242880, "expected_bytes": 10485760}'`,
  )
  const session = await loginAs(producer, producer.place.adminToken)
  const page = (await producer.ask('GET', '/', { token: null, headers: session })).text
  expect(page).toContain(backup)
  expect(page).toContain('shop/live')
  expect(page).toContain('&lt;img src=x onerror=alert(1)&gt; &amp; &quot;it&#39;s&quot;')
  expect(page).toContain('<progress max="10485760" value="5242880"></progress> 5.0 MiB')
  expect(page).toContain('1.5 KiB')
  expect(page).toContain('<meta http-equiv="refresh" content="5" />')
  expect(page).not.toContain('canary-4711')
  expect(page).not.toContain('class="problem"')

  await producer.catalog.query(
    `UPDATE service_instance_backups SET progress = '{"plain_bytes": 5242880, "expected_bytes": 1}',
            errors = '[{"at": "2026-01-02", "message": "the later <one>"}, {"at": "2026-01-01", "message": "the first"}]'`,
  )
  const later = (await producer.ask('GET', '/', { token: null, headers: session })).text
  expect(later).toContain('<div class="problem">the later &lt;one&gt;</div>')
  expect(later).not.toContain('<progress')

  const [organisation] = await producer.catalog.query<{ id: string }>(
    `INSERT INTO organisations (id, slug, name, created_at) VALUES (gen_random_uuid(), 'foreign', 'Foreign', now()) RETURNING id`,
  )
  const foreign = await loginAs(producer, await producer.createToken('admin', organisation?.id))
  expect((await producer.ask('GET', '/', { token: null, headers: foreign })).text).toContain('There is no backup yet.')
  expect((await producer.ask('GET', '/queues/', { token: null, headers: foreign })).status).toBe(403)
})

test('Bull Board shows the queues; only an admin may retry there, and nobody may add, change or empty', async () => {
  const [admin, viewer] = [
    await loginAs(producer, producer.place.adminToken),
    await loginAs(producer, await producer.createToken('viewer')),
  ]
  const page = await producer.ask('GET', '/queues', { token: null, headers: viewer })
  expect(page.text).toContain('<base href="/queues/" />')
  const script = /static\/js\/main\.[0-9a-f]+\.js/.exec(page.text)?.[0] ?? ''
  expect((await producer.ask('GET', `/queues/${script}`, { token: null, headers: viewer })).status).toBe(200)
  const queues = await producer.ask('GET', '/queues/api/queues', { token: null, headers: viewer })
  expect(
    (queues.body['queues'] as { name: string; readOnlyMode: boolean }[]).map((queue) => [
      queue.name,
      queue.readOnlyMode,
    ]),
  ).toEqual([
    ['dump', true],
    ['media-archive', true],
    ['transfer', true],
    ['prune', true],
    ['restore', true],
    ['verify', true],
    ['tick', true],
    ['notify', true],
  ])

  const url = new URL(producer.place.env['COFFER_REDIS_URL'] ?? '')
  const connection = {
    host: url.hostname,
    port: Number(url.port),
    db: Number(url.pathname.slice(1)),
    username: url.username,
    password: decodeURIComponent(url.password),
  }
  const queue = new Queue('restore', { connection })
  const { id = '' } = await queue.add('delayed', { id: 'nothing', attempt: 1 }, { delay: 3_600_000 })
  const act = (headers: Record<string, string>, path: string, method = 'PUT') =>
    producer.ask(method, `/queues/api/queues/restore/${path}`, {
      token: null,
      headers,
      ...(method === 'POST' ? { body: {} } : {}),
    })
  try {
    expect((await act(viewer, `${id}/retry`)).body).toMatchObject({ status: 403 })
    // Not a failed job: refused by what it is, not by who asks.
    expect((await act(admin, `${id}/retry`)).status).toBe(400)
    for (const [path, method] of [
      ['add', 'POST'],
      ['empty', 'PUT'],
      ['obliterate', 'PUT'],
      ['pause', 'PUT'],
      [`${id}/update-data`, 'PATCH'],
      ['concurrency', 'PUT'],
    ] as const)
      expect((await act(admin, path, method)).body, path).toMatchObject({ status: 403, code: 'FORBIDDEN' })
    expect((await queue.getJob(id))?.data).toEqual({ id: 'nothing', attempt: 1 })
    expect((await act(admin, 'clean/delayed')).status).toBe(403)
    expect((await act(admin, 'clean/failed')).status).toBe(200)
    expect((await act(admin, `${id}/clean`)).status).toBe(204)
    expect(await queue.getJob(id)).toBeUndefined()
  } finally {
    await queue.close()
  }
})

test('with a Redis that never answers the page of backups works and Bull Board says why it does not', async () => {
  const silent = createServer(() => undefined).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const address = silent.address()
  const port = typeof address === 'object' && address ? address.port : 0
  await using cut = await startTestProducer({ env: { COFFER_REDIS_URL: `redis://127.0.0.1:${port}` } })
  const headers = await loginAs(cut, cut.place.adminToken)
  expect((await cut.ask('GET', '/', { token: null, headers })).status).toBe(200)
  const queues = await cut.ask('GET', '/queues/api/queues', { token: null, headers })
  expect(queues.status).toBeGreaterThanOrEqual(500)
  expect(queues.text).toContain('Redis')
  silent.close()
})
