import { mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createFailedLogins } from '../../producer/failed-logins.ts'
import { insideTransaction } from '../../shared/catalog/database.ts'
import { hashToken, revokeToken } from '../../shared/catalog/tokens.ts'
import { startTestProducer, type TestProducer } from '../support/producer.ts'
import { generateIdentity } from '../../shared/pipeline/age-header.ts'
import { until } from '../support/until.ts'
import { expectProblem } from './problems.ts'
import { seal } from './sealed.ts'
import { name } from './tenant.ts'

let producer: TestProducer
let now = Date.now()
let organisation: string
let admin: string
beforeAll(async () => {
  producer = await startTestProducer({ clock: () => new Date(now) })
})
afterAll(() => producer[Symbol.asyncDispose]())
beforeEach(async () => {
  now = Date.now()
  organisation = (await post('organisations', { slug: name('org') })).body.uuid
  admin = await producer.createToken('admin', organisation)
})

const post = (resource: string, body: unknown, token: string | null = producer.place.adminToken) =>
  producer.ask('POST', `/apps/v3/${resource}/`, { body, token })
const mint = async (fields: object, by?: string) => {
  const { body, status } = await post('tokens', { name: 'ci', role: 'viewer', ...fields }, by)
  return { ...(body as unknown as { uuid: string; token: string; expires_at: string | null }), status, body }
}
const statusOf = async (token: string) => (await producer.ask('GET', '/iam/v3/me/', { token })).status
const inHours = (hours: number) => new Date(now + hours * 3_600_000).toISOString()

test('a token is shown once, kept as its hash only, and works as what it is', async () => {
  const made = await mint({ role: 'operator', organisation })
  expect(made.token).toMatch(/^coffer_[0-9a-f]{64}$/)
  const me = await producer.ask('GET', '/iam/v3/me/', { token: made.token })
  expect(me.body).toMatchObject({ first_name: 'ci', role: 'operator', organisation })
  const [row] = await producer.catalog.query<{ text: string; hash: Buffer }>(
    'SELECT t::text AS text, sha256 AS hash FROM tokens t WHERE id = $1',
    [made.uuid],
  )
  expect(row?.text).not.toContain(made.token.slice('coffer_'.length))
  expect(row?.hash).toEqual(hashToken(made.token))
  for (const path of ['/apps/v3/tokens/', `/apps/v3/tokens/${made.uuid}/`, '/apps/v3/audit/'])
    expect((await producer.ask('GET', path)).text).not.toContain(made.token)
  expect((await producer.ask('GET', `/apps/v3/tokens/${made.uuid}/`)).body).toMatchObject({
    uuid: made.uuid,
    created_by: expect.any(String) as string,
    expires_at: null,
    revoked_at: null,
  })
})

test('when a token was last used is known to the minute, and written no more often', async () => {
  const { uuid, token } = await mint({})
  const lastUsed = async () => (await producer.ask('GET', `/apps/v3/tokens/${uuid}/`)).body['last_used_at']
  expect(await lastUsed()).toBeNull()
  const first = new Date(now).toISOString()
  await statusOf(token)
  expect(await lastUsed()).toBe(first)
  now += 59_000
  await statusOf(token)
  expect(await lastUsed()).toBe(first)
  now += 2_000
  await statusOf(token)
  expect(await lastUsed()).toBe(new Date(now).toISOString())
})

test('an expired token is refused from that moment on, and so is the session that it opened (F44)', async () => {
  const { token } = await mint({ expires_at: inHours(1) })
  const login = await producer.ask('POST', '/login', {
    token: null,
    body: `token=${token}`,
    headers: { 'content-type': 'application/x-www-form-urlencoded', origin: producer.url },
  })
  const cookie = (login.headers.get('set-cookie') ?? '').split(';')[0] ?? ''
  const page = async () => (await producer.ask('GET', '/', { token: null, headers: { cookie } })).status
  expect([await statusOf(token), await page()]).toEqual([200, 200])
  now += 3_600_000
  expect([await statusOf(token), await page()]).toEqual([401, 401])
})

test('a revoked token is refused from the next request on, and so is the session that it opened (F44)', async () => {
  const { uuid, token } = await mint({ organisation })
  const login = await producer.ask('POST', '/login', {
    token: null,
    body: `token=${token}`,
    headers: { 'content-type': 'application/x-www-form-urlencoded', origin: producer.url },
  })
  const cookie = (login.headers.get('set-cookie') ?? '').split(';')[0] ?? ''
  const page = async () => (await producer.ask('GET', '/', { token: null, headers: { cookie } })).status
  expect([await statusOf(token), await page()]).toEqual([200, 200])
  const revoke = () => producer.ask('DELETE', `/apps/v3/tokens/${uuid}/`, { token: admin })
  expect([(await revoke()).status, (await revoke()).status]).toEqual([204, 204])
  expect([await statusOf(token), await page()]).toEqual([401, 401])
  const listed = await producer.ask('GET', '/apps/v3/tokens/', { token: admin })
  expect(listed.text).not.toContain(uuid)
  expect((await producer.ask('GET', `/apps/v3/tokens/${uuid}/`)).body['revoked_at']).toEqual(expect.any(String))
})

test('a token that is revoked takes its download links with it, and no others', async () => {
  const { recipient } = await generateIdentity()
  const { backup } = await seal(producer, recipient, { dump: Buffer.from('bytes') })
  const download = async (by: string) => {
    const { uuid } = (await post('backup-downloads', { backup }, by)).body
    const { results } = (await producer.ask('GET', `/apps/v3/backup-download-service-instances/?backup=${uuid}`)).body
    const leased = () =>
      producer.catalog.query(`SELECT 1 FROM leases WHERE kind = 'read' AND owner = $1`, [`download ${uuid}`])
    const { stored_url: url } = results[0] as unknown as { stored_url: string }
    return async () => [(await fetch(url)).status, (await leased()).length]
  }
  const { uuid, token } = await mint({ role: 'operator' })
  const [theirs, ours] = [await download(token), await download(producer.place.adminToken)]
  expect([await theirs(), await ours()]).toEqual([
    [200, 1],
    [200, 1],
  ])
  await producer.ask('DELETE', `/apps/v3/tokens/${uuid}/`)
  expect([await theirs(), await ours()]).toEqual([
    [410, 0],
    [200, 1],
  ])
})

test("nobody mints a token with more than the own role, scope or life, and an organisation's is for it by default", async () => {
  expect((await mint({}, admin)).body).toMatchObject({ organisation })
  expectProblem(await post('tokens', { name: 'x', role: 'viewer', organisation: null }, admin), 403, 'FORBIDDEN')
  const other = (await post('organisations', { slug: name('org') })).body.uuid
  expectProblem(await post('tokens', { name: 'x', role: 'viewer', organisation: other }, admin), 404, 'NOT_FOUND')
  for (const role of ['viewer', 'operator'])
    expect((await mint({}, (await mint({ role })).token)).body).toMatchObject({ code: 'FORBIDDEN' })
  const brief = await mint({ role: 'admin', expires_at: inHours(1) })
  expect((await mint({}, brief.token)).expires_at).toBe(inHours(1))
  for (const expires_at of [null, inHours(2)])
    expect((await mint({ expires_at }, brief.token)).body).toMatchObject({ code: 'FORBIDDEN' })
  expectProblem(await post('tokens', { name: 'x', role: 'root' }), 422, 'REQUEST_INVALID')
  expectProblem(await post('tokens', { name: 'x', role: 'admin', expires_at: inHours(-1) }), 422, 'REQUEST_INVALID')
})

test('the last admin of the whole installation cannot be revoked, also not by two who revoke each other', async () => {
  await using alone = await startTestProducer()
  const first = (await alone.ask('GET', '/apps/v3/tokens/')).body.results[0]?.uuid ?? ''
  const revoke = (uuid: string, token?: string) =>
    alone.ask('DELETE', `/apps/v3/tokens/${uuid}/`, token === undefined ? {} : { token })
  expectProblem(await revoke(first), 409, 'CONFLICT')
  await alone.createToken('viewer')
  expectProblem(await revoke(first), 409, 'CONFLICT')
  const second = (await alone.ask('POST', '/apps/v3/tokens/', { body: { name: 'second', role: 'admin' } })).body.uuid
  const everybody = { organisationId: null }
  let slower: Promise<unknown> = Promise.resolve()
  await alone.catalog.transaction(async (tx) => {
    await revokeToken(insideTransaction(alone.catalog, tx), first, everybody, new Date())
    let isOver = false
    slower = revokeToken(alone.catalog, second, everybody, new Date())
      .catch((error: unknown) => error)
      .finally(() => (isOver = true))
    await until(async () => isOver || (await tx.query('SELECT 1 FROM pg_locks WHERE NOT granted')).length > 0)
  })
  expect(await slower).toMatchObject({ code: 'CONFLICT' })
})

test("an application made with an organisation's token is that organisation's", async () => {
  const made = await post('applications', { slug: 'shop' }, admin)
  expect(made.body).toMatchObject({ organisation })
})

test('organisations are made, changed and listed; the default one keeps its slug', async () => {
  const slug = name('org')
  const made = await post('organisations', { slug, name: 'Shops Inc.' })
  expect(made.body).toMatchObject({ slug, name: 'Shops Inc.', media_roots: [] })
  expectProblem(await post('organisations', { slug }), 409, 'CONFLICT')
  const patch = (uuid: string, body: object) => producer.ask('PATCH', `/apps/v3/organisations/${uuid}/`, { body })
  expect((await patch(made.body.uuid, { name: 'Shops' })).body).toMatchObject({ slug, name: 'Shops', media_roots: [] })
  const found = await producer.ask('GET', '/apps/v3/organisations/?slug=default')
  expect(found.body.results).toMatchObject([{ slug: 'default', media_roots: null }])
  expectProblem(await patch(found.body.results[0]?.uuid ?? '', { slug: 'other' }), 409, 'CONFLICT')
  const own = await producer.ask('GET', '/apps/v3/organisations/', { token: admin })
  expect(own.body.results.map(({ uuid }) => uuid)).toEqual([organisation])
})

test("an organisation's admin registers media under its own roots only, by real path; the operator anywhere he allows", async () => {
  const { mediaRoot, folder } = producer.place
  const [ours, theirs] = [join(mediaRoot, name('ours')), join(mediaRoot, name('theirs'))]
  await Promise.all([mkdir(ours), mkdir(theirs)])
  await symlink(theirs, join(ours, 'link'))
  const { uuid: application } = (await post('applications', { slug: 'shop' }, admin)).body
  const { uuid: environment } = (await post('environments', { application, slug: 'live' }, admin)).body
  const register = (path: string, token?: string) =>
    post(
      'service-instances',
      {
        environment,
        type: 'STORAGE',
        prefix: name('P').replace('-', '_').toUpperCase(),
        connection: { url: `file://${path}` },
      },
      token,
    )
  const give = (roots: string[] | null) =>
    producer.ask('PATCH', `/apps/v3/organisations/${organisation}/`, { body: { media_roots: roots } })
  expectProblem(await register(ours, admin), 422, 'CONNECTION_REFUSED_BY_POLICY')
  expect((await register(theirs)).status).toBe(201)

  expectProblem(await give([folder]), 422, 'CONNECTION_REFUSED_BY_POLICY')
  expectProblem(await give(['relative']), 422, 'REQUEST_INVALID')
  expect((await give([ours])).status).toBe(200)
  expect((await register(join(ours, 'shop'), admin)).status).toBe(201)
  for (const path of [theirs, mediaRoot, join(ours, 'link'), `${ours}-not`])
    expect((await register(path, admin)).body, path).toMatchObject({
      code: 'CONNECTION_REFUSED_BY_POLICY',
      errors: [{ field: 'connection.url' }],
    })
  const [moved] = (await producer.ask('GET', `/apps/v3/service-instances/?environment=${environment}`)).body.results
  expectProblem(
    await producer.ask('PATCH', `/apps/v3/service-instances/${moved?.uuid ?? ''}/`, {
      token: admin,
      body: { connection: { url: `file://${theirs}` } },
    }),
    422,
    'CONNECTION_REFUSED_BY_POLICY',
  )
  expect((await give(null)).status).toBe(200)
  expect((await register(theirs, admin)).status).toBe(201)
})

test("an organisation's admin names no certificate file of the workers; the operator may", async () => {
  const { uuid: application } = (await post('applications', { slug: name('shop') }, admin)).body
  const { uuid: environment } = (await post('environments', { application, slug: 'live' }, admin)).body
  const register = (token?: string) => {
    const connection = { url: 'postgres://u:p@127.0.0.1/shop?sslmode=verify-full&sslrootcert=/dev/zero' }
    return post('service-instances', { environment, type: 'DATABASE', connection }, token)
  }
  const refused = (await register(admin)).body
  expect(refused).toMatchObject({ code: 'CONNECTION_REFUSED_BY_POLICY', errors: [{ field: 'connection.url' }] })
  expect(refused.detail).toContain('sslrootcert')
  expect((await register()).status).toBe(201)
})

test('after twenty wrong tokens an address waits, but tokens known to be right still pass', async () => {
  await using guessed = await startTestProducer()
  const fresh = await guessed.createToken('viewer')
  expect((await guessed.ask('GET', '/iam/v3/me/')).status).toBe(200)
  const guesses = await Promise.all(
    Array.from({ length: 25 }, (_, n) => guessed.ask('GET', '/iam/v3/me/', { token: `guess-${n}` })),
  )
  expect(guesses.every(({ status }) => status === 401 || status === 429)).toBe(true)
  const late = await guessed.ask('GET', '/iam/v3/me/', { token: fresh })
  expect(late.body).toMatchObject({ status: 429, code: 'TOO_MANY_ATTEMPTS' })
  expect(Number(late.headers.get('retry-after'))).toBeGreaterThan(0)
  expect((await guessed.ask('GET', '/iam/v3/me/')).status).toBe(200)
})

test('wrong tokens are counted by the /64 of an IPv6 address, which one guesser may have all of', () => {
  const failed = createFailedLogins(() => new Date(now))
  const unknown = hashToken('unknown')
  for (let n = 0; n < 20; n++) failed.count(`2001:db8:1:2::${n.toString(16)}`, hashToken(`guess-${n}`))
  const check = (address: string) => () => failed.check(address, unknown)
  expect(check('2001:db8:1:2:ffff::1')).toThrow(/too many wrong tokens/)
  for (const other of ['2001:db8:1:3::1', '::ffff:192.0.2.1', '192.0.2.1', '']) expect(check(other)).not.toThrow()
  for (let n = 0; n < 20; n++) failed.count('::ffff:192.0.2.1', unknown)
  expect(check('192.0.2.1')).toThrow(/too many wrong tokens/)
  expect(check('::ffff:192.0.2.2')).not.toThrow()
})

test('a token has so many requests a minute, and fewer that make something, whatever others do', async () => {
  let time = Date.now()
  const env = { COFFER_REQUESTS_PER_MINUTE: '8', COFFER_CREATIONS_PER_MINUTE: '2' }
  await using limited = await startTestProducer({ env, clock: () => new Date(time) })
  const make = () => limited.ask('POST', '/apps/v3/applications/', { body: { slug: name('app') } })
  const look = (token?: string) => limited.ask('GET', '/iam/v3/me/', token === undefined ? {} : { token })
  expect([(await make()).status, (await make()).status]).toEqual([201, 201])
  time += 20_000
  const refused = await make()
  expectProblem(refused, 429, 'RATE_LIMITED')
  expect(refused.headers.get('retry-after')).toBe('40')
  for (let n = 0; n < 5; n++) expect((await look()).status).toBe(200)
  expectProblem(await look(), 429, 'RATE_LIMITED')
  expect((await look(await limited.createToken('viewer'))).status).toBe(200)
  time += 40_000
  expect([(await look()).status, (await make()).status]).toEqual([200, 201])
})
