import { afterAll, beforeAll, expect, test } from 'vitest'
import { coffer, temporaryFolder } from '../cli/support.ts'
import { startHttpReceiver } from '../support/http-receiver.ts'
import { startMailReceiver } from '../support/mail-receiver.ts'
import { startTestProducer, type TestProducer } from '../support/producer.ts'
import { SINK_ENV } from '../support/sinks.ts'
import { expectProblem } from './problems.ts'

const SINKS = '/apps/v3/notification-sinks/'

let producer: TestProducer
let environment: string
let tenant: string
beforeAll(async () => {
  producer = await startTestProducer({ env: SINK_ENV })
  const { body: app } = await producer.ask('POST', '/apps/v3/applications/', { body: { slug: 'shop' } })
  const made = await producer.ask('POST', '/apps/v3/environments/', { body: { application: app.uuid, slug: 'live' } })
  environment = made.body.uuid
  tenant = await producer.createToken('admin', app.organisation)
})
afterAll(() => producer[Symbol.asyncDispose]())

test('a webhook is made, tested, moved and deleted; its signing secret is shown once, its address never', async () => {
  await using receiver = await startHttpReceiver()
  const url = `${receiver.url}/canary`
  const made = await producer.ask('POST', SINKS, { body: { name: 'hook', type: 'webhook', url } })
  expect(made.body).toMatchObject({
    organisation: null,
    format: 'coffer',
    target: `${receiver.url}/…`,
    kinds: null,
    queued: 0,
  })
  expect(made.body['signing_secret']).toMatch(/^whsec_[\w-]{43}$/)
  const one = `${SINKS}${made.body.uuid}/`
  const tested = await producer.ask('POST', `${one}test/`, { body: {} })
  expect(tested.body).toMatchObject({ delivered: true, event: receiver.received[0]?.headers['coffer-event-id'] })
  expect(receiver.received[0]).toMatchObject({
    path: '/canary',
    headers: { 'coffer-signature': expect.any(String) as string },
  })
  receiver.answer = 500
  const failed = await producer.ask('POST', `${one}test/`, { body: {} })
  expect(failed.status).toBe(200)
  expect(failed.body).toMatchObject({
    delivered: false,
    error: { code: 'SINK_FAILED', message: expect.stringContaining('500') as string },
  })

  const moved = await producer.ask('PATCH', one, { body: { url: `${url}/2`, kinds: ['backup.failure'] } })
  expect(moved.body).toMatchObject({ kinds: ['backup.failure'] })
  expect(moved.body['signing_secret']).not.toBe(made.body['signing_secret'])
  const renamed = await producer.ask('PATCH', one, { body: { name: 'renamed' } })
  expect(renamed.body).toMatchObject({ name: 'renamed', kinds: ['backup.failure'] })
  for (const answer of [renamed, await producer.ask('GET', one), await producer.ask('GET', SINKS)]) {
    expect(answer.text).not.toContain('whsec_')
    expect(answer.text).not.toContain('canary')
  }
  expect((await producer.ask('DELETE', one)).status).toBe(204)
  expect((await producer.ask('GET', one)).status).toBe(404)
})

test('what makes no sense of a sink is refused by its field', async () => {
  const sink = { name: 'x', type: 'webhook', url: 'https://8.8.8.8/' }
  const cases: [string, object][] = [
    ['url', { ...sink, url: undefined }],
    ['to', { ...sink, to: ['a@example.com'] }],
    ['format', { ...sink, type: 'heartbeat', format: 'slack', environments: [environment] }],
    ['environments', { ...sink, type: 'heartbeat' }],
    ['kinds', { ...sink, type: 'heartbeat', environments: [environment], kinds: ['backup.failure'] }],
    ['kinds.0', { ...sink, kinds: ['backup.failed'] }],
    ['type', { name: 'x', type: 'email', to: ['a@example.com'] }],
    ['to.0', { name: 'x', type: 'email', to: ['a@example.com\r\nBcc: b@example.com'] }],
    ['name', { ...sink, name: 'x\r\ny' }],
  ]
  for (const [field, body] of cases) {
    const answer = await producer.ask('POST', SINKS, { body })
    expect([answer.status, answer.body.errors.map((error) => error.field)], field).toEqual([422, [field]])
  }
})

test('F40 a sink in a private network is refused, and one that the operator has named is not', async () => {
  const urls = [
    'https://10.0.0.1/',
    'https://[::1]/',
    'http://8.8.8.8/',
    'https://8.8.8.8:444/',
    'https://a:b@8.8.8.8/',
  ]
  for (const url of [...urls, 'http://127.0.0.2:80/', 'https://169.254.169.254/'])
    expect((await producer.ask('POST', SINKS, { body: { name: 'x', type: 'webhook', url } })).body, url).toMatchObject({
      status: 422,
      code: 'EGRESS_REFUSED',
      errors: [{ field: 'url' }],
    })
})

test("F40 an organisation's admin registers no database in a private network, one of the whole installation does", async () => {
  const register = (host: string, prefix: string, token?: string) => {
    const body = { environment, type: 'DATABASE', prefix, connection: { url: `postgres://u:p@${host}/d` } }
    return producer.ask('POST', '/apps/v3/service-instances/', { body, ...(token === undefined ? {} : { token }) })
  }
  for (const host of ['10.0.0.1', '[::1]', '2130706434', '169.254.169.254'])
    expect((await register(host, 'A', tenant)).body, host).toMatchObject({
      code: 'EGRESS_REFUSED',
      errors: [{ field: 'connection.url' }],
    })
  expect((await register('127.0.0.1', 'NAMED', tenant)).status).toBe(201)
  expect((await register('10.0.0.1', 'PRIVATE')).status).toBe(201)
  expect((await register('db.internal', 'NAME')).status).toBe(201)
  for (const host of ['169.254.169.254', '0xa9fea9fe', 'metadata.google.internal', '[fd00:ec2::254]'])
    expect((await register(host, 'B')).body, host).toMatchObject({ code: 'EGRESS_REFUSED' })
  const rows = await producer.catalog.query('SELECT prefix, egress FROM service_instances ORDER BY prefix')
  expect(rows).toEqual([
    { prefix: 'NAME', egress: 'installation' },
    { prefix: 'NAMED', egress: 'organisation' },
    { prefix: 'PRIVATE', egress: 'installation' },
  ])
})

test('the command makes a sink, tests it, shows what was sent, and lists events', async () => {
  await using receiver = await startHttpReceiver()
  const cwd = await temporaryFolder()
  const run = (...args: string[]) =>
    coffer(args, { url: producer.url, token: producer.place.adminToken, cwd, input: `${receiver.url}/canary\n` })
  const made = await run(
    'notification',
    'create',
    'shop-live',
    '--type',
    'webhook',
    '--env',
    'shop/live',
    '--url-stdin',
  )
  expect(made).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/signing secret, shown only now: whsec_/) as string,
  })
  await producer.catalog.query(
    `INSERT INTO alerts (kind, subject, environment_id, message, raised_at) VALUES ('lost', 'x', $1, 'gone', now())`,
    [environment],
  )
  expect(await run('notification', 'create', 'mail', '--type', 'email', '--to', 'a@b.c', '--url-stdin')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('mail goes --to somebody') as string,
  })
  expect((await run('notification', 'test', 'shop-live')).stdout).toMatch(/has taken the test event/)
  expect((await run('notification', 'list')).stdout).toMatch(/shop-live +webhook +http:\/\/127\.0\.0\.1:\d+\/… +1 +-/)
  expect((await run('notification', 'show', 'shop-live')).stdout).toMatch(/lost\.raised +QUEUED +0/)
  expect((await run('event', 'list', '--env', 'shop/live', '--kind', 'lost.raised')).stdout).toMatch(
    /lost\.raised +shop\/live +gone/,
  )
  receiver.answer = 404
  expect(await run('notification', 'test', 'shop-live')).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/has not taken the test event: .*404[^]*remedy: check the address/) as string,
  })
  expect((await run('notification', 'delete', 'shop-live')).code).toBe(0)
  expect((await run('notification', 'show', 'shop-live')).code).toBe(4)
})

test('a mail sink is tested through the mail server of the operator', async () => {
  await using mail = await startMailReceiver('secret')
  const env = { COFFER_SMTP_URL: mail.url, COFFER_MAIL_FROM: 'coffer@example.com' }
  await using mailing = await startTestProducer({ env })
  const made = await mailing.ask('POST', SINKS, {
    body: { name: 'you have won', type: 'email', to: ['ops@example.com'] },
  })
  expect(made.body).toMatchObject({ target: 'ops@example.com', format: null })
  const tested = await mailing.ask('POST', `${SINKS}${made.body.uuid}/test/`, { body: {} })
  expect(tested.body).toMatchObject({ delivered: true, error: null })
  expect(mail.mails).toMatchObject([{ from: 'coffer@example.com', to: ['ops@example.com'] }])
  expect(JSON.stringify(mail.mails)).not.toContain('you have won')
})

test('an organisation tests its sinks five times a minute, with whatever token; another is not held up by it', async () => {
  let time = Date.now()
  await using receiver = await startHttpReceiver()
  await using limited = await startTestProducer({ env: SINK_ENV, clock: () => new Date(time) })
  const [first, second] = await Promise.all(
    ['first', 'second'].map(async (slug) => {
      const { uuid: organisation } = (await limited.ask('POST', '/apps/v3/organisations/', { body: { slug } })).body
      const body = { name: 'hook', type: 'webhook', url: receiver.url, organisation }
      const { uuid } = (await limited.ask('POST', SINKS, { body })).body
      return { organisation, test: (token: string) => limited.ask('POST', `${SINKS}${uuid}/test/`, { token }) }
    }),
  )
  if (!first || !second) throw new Error('no organisation')
  const token = (of: typeof first) => limited.createToken('admin', of.organisation)
  for (let n = 0; n < 5; n++) expect((await first.test(await token(first))).status).toBe(200)
  time += 20_000
  const refused = await first.test(await token(first))
  expectProblem(refused, 429, 'RATE_LIMITED')
  expect(refused.headers.get('retry-after')).toBe('40')
  expect(receiver.received).toHaveLength(5)
  expect((await second.test(await token(second))).status).toBe(200)
  time += 40_000
  expect((await first.test(await token(first))).status).toBe(200)
})
