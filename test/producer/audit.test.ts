import { randomBytes, randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { apiRoutes } from '../../producer/app.ts'
import { entryOf } from '../../producer/audit.ts'
import { performer } from '../../producer/perform.ts'
import type { Producer } from '../../producer/producer.ts'
import type { Call, Route } from '../../producer/routes.ts'
import { systemClock } from '../../shared/clock.ts'
import { openLog } from '../../shared/log.ts'
import { generateIdentity } from '../../shared/pipeline/age-header.ts'
import { onTestServer } from '../support/databases.ts'
import { startTestProducer, type TestProducer } from '../support/producer.ts'
import { until } from '../support/until.ts'
import { linksTo, seal } from './sealed.ts'
import { expectProblem } from './problems.ts'
import { createTenant, name, type Tenant } from './tenant.ts'

let producer: TestProducer
let tenant: Tenant
let admin: string
beforeAll(async () => {
  producer = await startTestProducer()
  tenant = await createTenant(producer)
  admin = await producer.createToken('admin', tenant.organisation)
})
afterAll(() => producer[Symbol.asyncDispose]())

interface Line {
  action: string
  status: number | null
  code: string | null
  token_name: string | null
  targets: string[]
  changes: Record<string, unknown>
  at: string
  [name: string]: unknown
}

const linesOf = async (query: string, token?: string): Promise<Line[]> =>
  (await producer.ask('GET', `/apps/v3/audit/?${query}`, token === undefined ? {} : { token })).body
    .results as unknown as Line[]

/** Asks with a request id of its own, and gives the lines of that request, oldest first. */
async function recorded(method: string, path: string, ask: Parameters<TestProducer['ask']>[2] = {}) {
  const id = randomUUID()
  const answer = await producer.ask(method, path, { ...ask, headers: { ...ask.headers, 'x-request-id': id } })
  const lines = await producer.catalog.query<Line>('SELECT * FROM audit WHERE request_id = $1 ORDER BY id', [id])
  return { answer, lines }
}

test('a change is recorded with who, what, whose and how it went, in one line', async () => {
  const { answer, lines } = await recorded('POST', `/apps/v3/backups/${tenant.backup}/hold/`, {
    token: admin,
    body: { reason: 'an audit' },
  })
  expect(answer.status).toBe(200)
  expect(lines).toMatchObject([
    {
      token_name: 'admin of a test',
      organisation_id: tenant.organisation,
      address: '127.0.0.1',
      action: 'POST /apps/v3/backups/:uuid/hold/',
      targets: [tenant.backup],
      status: 200,
      code: null,
      changes: { reason: 'an audit' },
    },
  ])
})

test('what is refused is recorded too, with its reason: no role, a conflict, a foreign id', async () => {
  const viewer = await producer.createToken('viewer', tenant.organisation)
  const path = `/apps/v3/backups/${tenant.backup}`
  const refused = [
    await recorded('POST', `${path}/delete/`, { token: viewer, body: { reason: 'no' } }),
    await recorded('POST', `${path}/cancel/`, { token: admin }),
    await recorded('DELETE', `/apps/v3/applications/${randomUUID()}/`, { token: admin }),
  ]
  expect(refused.flatMap(({ lines }) => lines.map(({ status, code }) => [status, code]))).toEqual([
    [403, 'FORBIDDEN'],
    [409, 'CONFLICT'],
    [404, 'NOT_FOUND'],
  ])
})

test('no secret gets into the log: connections and fields that nobody foresaw are not shown (F42)', async () => {
  const canary = `canary-${randomBytes(8).toString('hex')}`
  const url = `postgres://u:${canary}@127.0.0.1/shop`
  const { lines } = await recorded('POST', '/apps/v3/service-instances/', {
    body: { environment: tenant.environment, type: 'DATABASE', prefix: 'CANARY', connection: { url } },
  })
  expect(lines).toMatchObject([
    { status: 201, changes: { type: 'DATABASE', prefix: 'CANARY', connection: '[not shown]' } },
  ])
  const notes = await recorded('POST', '/apps/v3/backups/', { body: { environment: tenant.environment, notes: url } })
  expect(notes.answer.status).toBe(201)
  expect(notes.lines[0]?.changes['notes']).toBe('postgres://u:[redacted]@127.0.0.1/shop')
  const odd = entry({ notes: 'a\0b', slug: 'x'.repeat(5000), [canary]: canary }, { reply: { status: 201 } })
  expect(odd.changes).toEqual({ notes: 'ab', slug: '[too long]', [canary]: '[not shown]' })
})

const entry = (body: unknown, result: Parameters<typeof entryOf>[3]) => {
  const actor = { tokenId: randomUUID(), name: 'a', role: 'admin', scope: { organisationId: null } }
  const call = { actor, params: {}, body, address: '', requestId: '' } as unknown as Call
  return entryOf({ method: 'POST', path: '/' } as Route, call, new Date(), result)
}

test('nobody fills the log with what is refused, and no line shows more than 4 KB of fields', async () => {
  const { lines } = await recorded('POST', '/apps/v3/backups/', { body: { notes: 'x'.repeat(1500), typo: 1 } })
  expect(lines.map(({ status, changes }) => [status, changes])).toEqual([[422, {}]])
  const shownNames = ['name', 'notes', 'reason', 'slug', 'prefix']
  const large = Object.fromEntries(shownNames.map((field) => [field, 'ü'.repeat(900)]))
  const unknown = Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`${n}`.padEnd(100, 'ü'), n]))
  for (const body of [large, unknown, { ...large, ...unknown }])
    for (const result of ['begins', { reply: { status: 200 } }] as const) {
      const size = Buffer.byteLength(JSON.stringify(entry(body, result).changes))
      expect(size).toBeGreaterThan(3_000)
      expect(size).toBeLessThanOrEqual(4_096)
    }
  expect(entry(large, 'begins').changes).toMatchObject({
    notes: expect.stringMatching(/^ü+$/) as string,
    prefix: '[too long]',
  })
})

test('every change of the table of routes is recorded, and reading is not', async () => {
  const written: unknown[] = []
  const log = openLog('test', 'silent')
  const query = (text: string, values?: readonly unknown[]) => {
    if (text.includes('INSERT INTO audit')) written.push(values)
    return Promise.resolve([])
  }
  const catalog = { query, transaction: (work: (tx: object) => unknown) => work({ query }) }
  const fake = { settings: {}, catalog, log, clock: systemClock, ringer: { nudge: () => undefined } }
  const answered = (routes: Route[]): Route[] =>
    routes.map((route) => ({ ...route, vet: () => Promise.resolve(), handle: () => Promise.resolve({ status: 200 }) }))
  const limits = { countRequest: () => undefined, countCreation: () => undefined, countSinkTest: () => undefined }
  const perform = performer(fake as unknown as Producer, (given) => answered(apiRoutes(given)), limits)
  const actor = { tokenId: randomUUID(), name: 'a', role: 'admin', scope: { organisationId: null } }
  const call = { actor, params: {}, query: {}, body: {}, address: '', requestId: '' } as unknown as Call
  for (const route of answered(apiRoutes(fake as unknown as Producer))) {
    written.length = 0
    await perform(route, call)
    expect(written.length > 0, `${route.method} ${route.path}`).toBe(route.method !== 'GET')
  }
})

test('where the log cannot be written nothing is done', async () => {
  await using broken = await startTestProducer()
  await broken.catalog.query('ALTER TABLE audit ADD CONSTRAINT broken CHECK (false) NOT VALID')
  const answer = await broken.ask('POST', '/apps/v3/applications/', { body: { slug: 'shop' } })
  expect(answer.status).toBe(500)
  const [store] = (await broken.ask('GET', '/apps/v3/stores/')).body.results
  expect((await broken.ask('POST', `/apps/v3/stores/${store?.uuid ?? ''}/check/`)).status).toBe(500)
  await broken.catalog.query('ALTER TABLE audit DROP CONSTRAINT broken')
  expect((await broken.ask('GET', '/apps/v3/applications/')).body.count).toBe(0)
})

test('a change that takes long is recorded before and after', async () => {
  const { answer, lines } = await recorded('POST', `/apps/v3/stores/${tenant.store}/check/`)
  expect(answer.status).toBe(200)
  expect(lines.map(({ status }) => status)).toEqual([null, 200])
})

test('who reads a signed link is recorded before the first byte, with whose link it was', async () => {
  const { recipient } = await generateIdentity()
  const sealed = await seal(producer, recipient, { dump: Buffer.from('bytes') })
  const [item] = await linksTo(producer, sealed)
  const path = (item?.stored_url ?? '').slice(producer.url.length)
  const { answer, lines } = await recorded('GET', path, { token: null })
  expect(answer.status).toBe(200)
  expect(lines).toMatchObject([
    { action: 'GET /apps/v3/downloads/:uuid/:form', token_name: 'bootstrap admin', status: 200 },
  ])
  expect(lines[0]?.targets).toEqual(expect.arrayContaining([item?.uuid, sealed.part]))
  expect(
    (
      await recorded(
        'GET',
        path.replace(/.$/, (last) => (last === '0' ? '1' : '0')),
        { token: null },
      )
    ).lines,
  ).toEqual([])
})

test('logins are recorded, the refused ones with their address', async () => {
  const login = (token: string) =>
    recorded('POST', '/login', {
      token: null,
      body: `token=${token}`,
      headers: { 'content-type': 'application/x-www-form-urlencoded', origin: producer.url },
    })
  expect((await login(admin)).lines).toMatchObject([{ action: 'login', token_name: 'admin of a test', status: 200 }])
  expect((await login('wrong')).lines).toMatchObject([
    { action: 'login', token_name: null, status: 401, address: '127.0.0.1' },
  ])
  expect((await recorded('GET', '/iam/v3/me/', { token: 'guess' })).lines).toMatchObject([
    { action: 'login', status: 401 },
  ])
})

test('what an admin does in Bull Board is recorded before and after, and so is what is refused there', async () => {
  const login = await producer.ask('POST', '/login', {
    token: null,
    body: `token=${producer.place.adminToken}`,
    headers: { 'content-type': 'application/x-www-form-urlencoded', origin: producer.url },
  })
  const cookie = (login.headers.get('set-cookie') ?? '').split(';')[0] ?? ''
  const headers = { cookie, origin: producer.url }
  for (const [action, status] of [
    ['clean/failed', 200],
    ['obliterate', 403],
  ] as const) {
    const path = `/queues/api/queues/dump/${action}`
    const { answer } = await recorded('PUT', path, { token: null, headers })
    expect(answer.status).toBe(status)
    const id = answer.headers.get('x-request-id')
    await until(async () => {
      const lines = await producer.catalog.query<Line>('SELECT * FROM audit WHERE request_id = $1 ORDER BY id', [id])
      return (
        lines.length === 2 &&
        lines[0]?.status === null &&
        lines[1]?.status === status &&
        lines[1].action === `PUT ${path}`
      )
    })
  }
})

test('what is done in Bull Board counts against the limit of the token, and what is above it leaves no line', async () => {
  await using limited = await startTestProducer({ env: { COFFER_REQUESTS_PER_MINUTE: '3' } })
  const login = await limited.ask('POST', '/login', {
    token: null,
    body: `token=${limited.place.adminToken}`,
    headers: { 'content-type': 'application/x-www-form-urlencoded', origin: limited.url },
  })
  const headers = { cookie: (login.headers.get('set-cookie') ?? '').split(';')[0] ?? '', origin: limited.url }
  const act = () => limited.ask('PUT', '/queues/api/queues/dump/obliterate', { token: null, headers })
  for (let n = 0; n < 3; n++) expect((await act()).status).toBe(403)
  expectProblem(await act(), 429, 'RATE_LIMITED')
  await until(async () => {
    const lines = await limited.catalog.query(`SELECT 1 FROM audit WHERE action LIKE 'PUT /queues/%'`)
    return lines.length === 6
  })
})

test('an organisation sees what its tokens did and what was done to its things, filtered and newest first', async () => {
  const since = new Date().toISOString()
  await producer.ask('POST', `/apps/v3/backups/${tenant.backup}/release/`)
  const foreign = await createTenant(producer)
  await producer.ask('POST', `/apps/v3/backups/${foreign.backup}/hold/`, { body: { reason: 'theirs' } })
  await producer.ask('POST', `/apps/v3/backups/${tenant.backup}/hold/`, { token: admin, body: { reason: 'ours' } })
  const seen = await linesOf(`since=${encodeURIComponent(since)}`, admin)
  expect(seen.map(({ action, token_name: by }) => [action, by])).toEqual([
    ['POST /apps/v3/backups/:uuid/hold/', 'admin of a test'],
    ['POST /apps/v3/backups/:uuid/release/', 'bootstrap admin'],
  ])
  expect(await linesOf(`until=${encodeURIComponent(since)}&action=RELEASE`, admin)).toEqual([])
  expect(await linesOf(`target=${tenant.backup}&action=hold&actor=${String(seen[0]?.['token'])}&page_size=1`)).toEqual([
    seen[0],
  ])
})

test("the log is only added to, as the service's own role", async () => {
  const role = `service_${randomBytes(4).toString('hex')}`
  const url = new URL(producer.place.databaseUrl)
  await onTestServer(`CREATE ROLE ${role} LOGIN PASSWORD 'test'`)
  try {
    // As strong as a service ever is: the owner of the table, and no superuser.
    await producer.catalog.query(`GRANT USAGE, CREATE ON SCHEMA public TO ${role}`)
    await producer.catalog.query(`ALTER TABLE audit OWNER TO ${role}`)
    url.username = role
    url.password = 'test'
    const client = new pg.Client({ connectionString: url.href })
    await client.connect()
    try {
      for (const sql of ['UPDATE audit SET status = 200', 'DELETE FROM audit WHERE false', 'TRUNCATE audit'])
        await expect(client.query(sql), sql).rejects.toThrow(/the audit log is only added to/)
      await client.query(
        `INSERT INTO audit (at, address, action, targets, request_id) VALUES (now(), 'a', 'test', '{}', 'r')`,
      )
    } finally {
      await client.end()
    }
  } finally {
    await producer.catalog.query('ALTER TABLE audit OWNER TO CURRENT_USER')
    await producer.catalog.query(`DROP OWNED BY ${role}`)
    await onTestServer(`DROP ROLE ${role}`)
  }
})

test('the log is for admins, and a mistyped filter is refused', async () => {
  expectProblem(await producer.ask('GET', '/apps/v3/audit/?actor=me'), 422, 'REQUEST_INVALID')
  expectProblem(await producer.ask('GET', '/apps/v3/audit/?since=yesterday'), 422, 'REQUEST_INVALID')
  expectProblem(await producer.ask('GET', `/apps/v3/audit/?${name('typo')}=1`), 422, 'REQUEST_INVALID')
})
