import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { apiRoutes } from '../../producer/app.ts'
import type { Producer } from '../../producer/producer.ts'
import { ROLES, hashToken } from '../../shared/catalog/tokens.ts'
import { startTestProducer, type TestProducer } from '../support/producer.ts'
import { until } from '../support/until.ts'

// The handlers are not called: only what the table says of each route is read.
const ROUTES = apiRoutes({ settings: {} } as Producer)

let producer: TestProducer
let tokens: Record<string, string>
let foreign: string
let mine: {
  application: string
  environment: string
  service: string
  backup: string
  part: string
  restore: string
  item: string
  plan: string
  store: string
  sink: string
}

beforeAll(async () => {
  // An hour passes between any two looks at the clock, so that wrong tokens never add up.
  let time = Date.now()
  producer = await startTestProducer({ clock: () => new Date((time += 3_600_000)) })
  tokens = {}
  for (const role of ROLES) tokens[role] = await producer.createToken(role)
  const [organisation] = await producer.catalog.query<{ id: string }>(
    `INSERT INTO organisations (id, slug, name, created_at) VALUES (gen_random_uuid(), 'foreign', 'Foreign', now()) RETURNING id`,
  )
  foreign = await producer.createToken('admin', organisation?.id)
  mine = await createEverything()
})
afterAll(() => producer[Symbol.asyncDispose]())

async function createEverything(): Promise<typeof mine> {
  const post = async (resource: string, body: unknown) =>
    (await producer.ask('POST', `/apps/v3/${resource}/`, { body })).body
  const { uuid: application } = await post('applications', { slug: 'shop' })
  const { uuid: environment } = await post('environments', { application, slug: 'live' })
  const connection = { url: 'postgres://u:p@127.0.0.1/shop' }
  const { uuid: service } = await post('service-instances', { environment, type: 'DATABASE', connection })
  const { uuid: backup, service_instance_backups: parts } = await post('backups', { environment })
  const [part = ''] = parts
  const [ids] = await producer.catalog.query<{ restore: string; item: string }>(
    `WITH artifact AS (INSERT INTO artifacts (service_instance_backup_id, attempt, kind, key, record)
            VALUES ($2, 1, 'dump', 'k', '{"kind": "dump", "encodings": []}') RETURNING id),
          download AS (INSERT INTO downloads (id, backup_id, trigger, created_at, expires_at)
            VALUES (gen_random_uuid(), $1, 'MANUAL', now(), now() + interval '1 day') RETURNING id),
          item AS (INSERT INTO download_service_instances (id, download_id, service_instance_backup_id, artifact_id, ended_at)
            SELECT gen_random_uuid(), download.id, $2, artifact.id, now() FROM download, artifact RETURNING id),
          restore AS (INSERT INTO restores (id, backup_id, created_at) VALUES (gen_random_uuid(), $1, now()) RETURNING id)
     SELECT restore.id AS restore, item.id AS item FROM restore, item`,
    [backup, part],
  )
  const { uuid: plan } = await post('plans', { slug: 'made' })
  const { uuid: sink } = await post('notification-sinks', {
    name: 'hook',
    type: 'webhook',
    url: 'https://8.8.8.8/hook',
  })
  // What has happened, is told, and will not be delivered: so that there is something to see, and to hide.
  await producer.catalog.query(
    `INSERT INTO events (kind, environment_id, organisation_id, subject, at, message)
     SELECT 'lost.raised', $1, organisation_id, 'x', now(), 'm' FROM applications WHERE id = $2`,
    [environment, application],
  )
  const [store] = (await producer.ask('GET', '/apps/v3/stores/')).body.results
  const { restore = '', item = '' } = ids ?? {}
  return { application, environment, service, backup, part, restore, item, plan, sink, store: store?.uuid ?? '' }
}

const OWNER: Record<string, keyof typeof mine> = {
  applications: 'application',
  environments: 'environment',
  'service-instances': 'service',
  backups: 'backup',
  'service-instance-backups': 'part',
  'backup-download-service-instances': 'item',
  'backup-restores': 'restore',
  'notification-sinks': 'sink',
  'notification-deliveries': 'sink',
  events: 'environment',
}

/** What all organisations see, and none of them may touch. */
const SHARED = new Set(['plans', 'stores'])

const resourceOf = (path: string) => path.split('/')[3] ?? ''

test.each(ROUTES)('$method $path is refused without a token and with a wrong one', async ({ method, path }) => {
  for (const token of [null, 'wrong']) {
    const answer = await producer.ask(method, path.replace(':uuid', randomUUID()), { token })
    expect(answer.body).toMatchObject({ status: 401, code: 'UNAUTHENTICATED' })
    expect(answer.headers.get('www-authenticate')).toBe('Token realm="coffer"')
  }
})

test.each(ROUTES)('$method $path opens from the role $role on', async ({ method, path, role: needed }) => {
  for (const role of ROLES) {
    // A body that no route takes and an id that nothing has: past the gate, nothing happens.
    const ask = { token: tokens[role] ?? '', ...(method === 'GET' ? {} : { body: { unknown: 1 } }) }
    const { status } = await producer.ask(method, path.replace(':uuid', randomUUID()), ask)
    if (ROLES.indexOf(role) < ROLES.indexOf(needed)) expect(status, role).toBe(403)
    else expect([200, 404, 422], role).toContain(status)
  }
})

test.each(ROUTES.filter(({ path }) => path.includes(':uuid') && !SHARED.has(resourceOf(path))))(
  '$method $path is a 404 for a token of another organisation',
  async ({ method, path }) => {
    const owner = OWNER[resourceOf(path)]
    expect(owner, `${path} has no entry in this test`).toBeDefined()
    const asked = path.replace(':uuid', mine[owner ?? 'application'])
    const needsReason = /\/(hold|delete)\/$/.test(path)
    const ask = { token: foreign, ...(needsReason ? { body: { reason: 'to harm' } } : {}) }
    expect((await producer.ask(method, asked, ask)).status).toBe(404)
    if (method === 'GET') expect((await producer.ask(method, asked)).status).toBe(200)
  },
)

test.each(ROUTES.filter(({ method, path }) => method !== 'GET' && SHARED.has(resourceOf(path))))(
  '$method $path is not for the admin of one organisation',
  async ({ method, path }) => {
    const id = resourceOf(path) === 'plans' ? mine.plan : mine.store
    const asked = path.replace(':uuid', id)
    const body = path.includes(':uuid') ? {} : { slug: 'theirs' }
    const ask = method === 'DELETE' ? {} : { body }
    expect((await producer.ask(method, asked, { ...ask, token: foreign })).body).toMatchObject({ code: 'FORBIDDEN' })
    expect((await producer.ask(method, asked, ask)).status).toBeLessThan(300)
  },
)

test('schedules, previews and the status of an organisation are not shown to another', async () => {
  const asked = async (path: string) => [
    (await producer.ask('GET', path, { token: foreign })).body,
    (await producer.ask('GET', path)).body,
  ]
  expect(await asked('/apps/v3/schedules/')).toMatchObject([{ count: 0 }, { count: 1 }])
  expect(await asked(`/apps/v3/retention-preview/?environment=${mine.environment}`)).toMatchObject([
    { code: 'NOT_FOUND' },
    { environment: mine.environment },
  ])
  await producer.catalog.query(
    `INSERT INTO alerts (kind, subject, environment_id, message, raised_at) VALUES ('missed', 'a', $1, 'm', now()), ('lost', 'b', NULL, 'm', now())`,
    [mine.environment],
  )
  // The clock of this test runs on by an hour for every look at it, so the environment has become overdue.
  await until(async () => (await producer.ask('GET', '/apps/v3/status/')).body.overdue.count === 1)
  expect(await asked('/apps/v3/status/')).toMatchObject([
    { overdue: { count: 0, results: [] }, alerts: { count: 0, results: [] } },
    { overdue: { count: 1, results: [{ environment: mine.environment }] }, alerts: { count: 2 } },
  ])
})

test.each(
  ROUTES.filter(({ method, path }) => method === 'GET' && resourceOf(path) in OWNER && !path.includes(':uuid')),
)('GET $path shows nothing to a token of another organisation', async ({ path }) => {
  expect((await producer.ask('GET', path, { token: foreign })).body).toMatchObject({ count: 0, results: [] })
  expect((await producer.ask('GET', path)).body.count).toBeGreaterThan(0)
})

test.each([
  ['environments', () => ({ application: mine.application, slug: 'theirs' })],
  ['service-instances', () => ({ environment: mine.environment, type: 'STORAGE', connection: { url: 'file:///x' } })],
  ['backups', () => ({ environment: mine.environment })],
  ['backup-downloads', () => ({ backup: mine.backup })],
  [
    'notification-sinks',
    () => ({ name: 'x', type: 'webhook', url: 'https://8.8.8.8/', environments: [mine.environment] }),
  ],
  [
    'backup-restores',
    () => ({ backup: mine.backup, service_instance_restores: [{ service_instance_backup: mine.part }] }),
  ],
])("POST %s that refers to another organisation's is a 404", async (resource, body) => {
  const answer = await producer.ask('POST', `/apps/v3/${resource}/`, { token: foreign, body: body() })
  expect(answer.body).toMatchObject({ status: 404, code: 'NOT_FOUND' })
})

test("an application made with an organisation's token is that organisation's", async () => {
  const made = await producer.ask('POST', '/apps/v3/applications/', { token: foreign, body: { slug: 'shop' } })
  expect(made.status).toBe(201)
  const me = await producer.ask('GET', '/iam/v3/me/', { token: foreign })
  expect(made.body.organisation).toBe(me.body.organisation)
  await producer.ask('DELETE', `/apps/v3/applications/${made.body.uuid}/`, { token: foreign })
})

test('a revoked token is refused from the next request on', async () => {
  const token = await producer.createToken('viewer')
  expect((await producer.ask('GET', '/iam/v3/me/', { token })).body).toMatchObject({ role: 'viewer' })
  await producer.catalog.query('UPDATE tokens SET revoked_at = now() WHERE sha256 = $1', [hashToken(token)])
  expect((await producer.ask('GET', '/iam/v3/me/', { token })).status).toBe(401)
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
