import fc from 'fast-check'
import { expect, test } from 'vitest'
import { EXAMPLE_KEY } from '../../producer/examples.ts'
import type { JsonSchema } from '../../producer/openapi.ts'
import { templateOf } from '../../producer/openapi.ts'
import type { Route } from '../../producer/routes.ts'
import { FAILURES } from '../../shared/errors.ts'
import { DOCUMENT, expectDeclared, ROUTES } from '../support/answers.ts'
import { fromSchema, HOSTILE, spoiled } from '../support/from-schema.ts'
import { askProducer, startTestProducer, type Answer, type TestProducer } from '../support/producer.ts'
import { createTenant } from './tenant.ts'

const REQUESTS = Number(process.env['COFFER_TEST_FUZZ'] ?? 1_500)
/** After so many, what was deleted on the way is made anew. */
const REQUESTS_PER_TENANT = 100

/** What must never be told: where the code lies, what it asks the catalog, and how its stack looked. */
const INTERNAL =
  /\n\s+at |node_modules|\.(ts|js):\d+|\b(SELECT|INSERT INTO|UPDATE) |syntax error|violates|relation "|\bpg_|invalid input/

interface Drawn {
  route: Route
  method: string
  path: string
  body: string | undefined
  token: 'admin' | 'viewer' | 'none'
}

/** What there is to be asked about: by the resource whose paths name it, and by the field that names it. */
let ids = new Map<string, string>()
const known = (field: string) => {
  const own = ids.get(field) ?? ids.get(`${field}s`)
  return own === undefined ? [...ids.values()] : [own]
}

const resourceOf = (path: string) => path.split('/')[3] ?? ''

interface Media {
  schema: JsonSchema
}

const bodyFor = (route: Route): fc.Arbitrary<string | undefined> => {
  const operation = DOCUMENT.paths[templateOf(route.path)]?.[route.method.toLowerCase()]
  const media = (operation?.requestBody?.['content'] as Record<string, Media> | undefined)?.['application/json']
  const hostile = fc.oneof(
    HOSTILE.map((value) => JSON.stringify(value)),
    fc.constantFrom('', '{', '[1', 'nul', '{"a":1}}', '\ufeff{}', '"'),
  )
  if (!media) return fc.oneof({ arbitrary: fc.constant(undefined), weight: 9 }, hostile)
  const valid = fromSchema(media.schema, known)
  const text = (value: unknown) => JSON.stringify(value)
  return fc.oneof(
    { arbitrary: valid.map(text), weight: 5 },
    { arbitrary: valid.chain(spoiled).map(text), weight: 4 },
    { arbitrary: hostile, weight: 1 },
  )
}

const WEIRD = fc.constantFrom(
  'page=0',
  'page=1&page=2',
  'page_size=99999999999999',
  'page[]=1',
  '__proto__=1',
  'slug=%00',
  'slug=%ZZ',
  'backup=%ff',
  '=',
  '&&',
  `slug=${'x'.repeat(4000)}`,
  'unknown=1',
)

const asQuery = (query: Record<string, unknown>): string =>
  new URLSearchParams(Object.entries(query).map(([name, value]): [string, string] => [name, String(value)])).toString()

const queryFor = (route: Route): fc.Arbitrary<string> => {
  const operation = DOCUMENT.paths[templateOf(route.path)]?.[route.method.toLowerCase()]
  const fields = (operation?.parameters ?? []).filter((parameter) => parameter['in'] === 'query')
  const given = fields.map(
    ({ name, schema }) => [name as string, fromSchema(schema as JsonSchema, known, name as string)] as const,
  )
  const requiredKeys = fields.filter((field) => field['required'] === true).map(({ name }) => name as string)
  const valid = fc.record(Object.fromEntries(given), { requiredKeys }).map((query) => asQuery(query))
  return fc.oneof({ arbitrary: valid, weight: 7 }, { arbitrary: WEIRD, weight: 2 })
}

const pathFor = (route: Route): fc.Arbitrary<string> => {
  const own = fc.constant(null).map(() => ids.get(resourceOf(route.path)) ?? '0')
  const other = fc.oneof(
    fc.uuid(),
    fc.constantFrom('0', '%00', '%ZZ', '%2e%2e', "'", 'x'.repeat(3000), '%F0%9F%92%A9', '..%2f..%2f', '0'.repeat(36)),
  )
  const param = fc.oneof(
    { arbitrary: own, weight: 8 },
    { arbitrary: fc.nat().map((at) => [...ids.values()][at % ids.size] ?? ''), weight: 1 },
    other,
  )
  return param.map((id) => route.path.replace(/:\w+/g, () => id))
}

const drawn: fc.Arbitrary<Drawn> = fc.constantFrom(...ROUTES).chain((route) =>
  fc.record({
    route: fc.constant(route),
    method: fc.oneof(
      { arbitrary: fc.constant<string>(route.method), weight: 14 },
      { arbitrary: fc.constantFrom('PUT', 'PATCH', 'DELETE', 'OPTIONS', 'POST', 'HEAD', 'PROPFIND'), weight: 1 },
    ),
    path: fc
      .tuple(pathFor(route), queryFor(route), fc.boolean())
      .map(([path, query, slash]) => (slash ? path : path.replace(/\/$/, '')) + (query === '' ? '' : `?${query}`)),
    body: bodyFor(route),
    token: fc.oneof(
      { arbitrary: fc.constant('admin' as const), weight: 20 },
      fc.constant('viewer' as const),
      fc.constant('none' as const),
    ),
  }),
)

async function lookAround(producer: TestProducer): Promise<void> {
  const tenant = await createTenant(producer)
  const make = async (resource: string, body: object) => {
    const made = await producer.ask('POST', `/apps/v3/${resource}/`, { body })
    if (made.status !== 201) throw new Error(made.text)
    return made.body.uuid
  }
  const verification = { service_instance_backup: tenant.part }
  await producer.ask('POST', '/apps/v3/verifications/', { body: verification })
  const { body } = await producer.ask('GET', '/apps/v3/verifications/')
  ids = new Map([
    ['applications', tenant.application],
    ['environments', tenant.environment],
    ['service-instances', tenant.service],
    ['service_instances', tenant.service],
    ['services', tenant.service],
    ['backups', tenant.backup],
    ['service-instance-backups', tenant.part],
    ['service_instance_backups', tenant.part],
    ['backup-download-service-instances', tenant.item],
    ['backup-restores', tenant.restore],
    ['organisations', tenant.organisation],
    ['tokens', tenant.token],
    ['plans', tenant.plan],
    ['stores', tenant.store],
    ['keys', EXAMPLE_KEY],
    ['backup-downloads', await make('backup-downloads', { backup: tenant.backup })],
    ['verifications', body.results[0]?.uuid ?? ''],
    ['notification-sinks', await make('notification-sinks', SINK)],
  ])
}

/** Nobody listens there. */
const SINK = { name: 'fuzz', type: 'webhook', format: 'slack', url: 'http://127.0.0.1:1/' }

async function send(
  producer: TestProducer,
  viewer: string,
  { method, path, body, token }: Drawn,
): Promise<Answer | null> {
  const isStream = /\/events\/?(\?|$)/.test(path) && method === 'GET' && !path.startsWith('/apps/v3/events')
  if (isStream) {
    // It may go on for ever.
    const headers =
      token === 'none' ? {} : { authorization: `Token ${token === 'admin' ? producer.place.adminToken : viewer}` }
    const response = await fetch(new URL(path, producer.url), { headers })
    if (response.status === 200) await response.body?.cancel()
    if (response.status === 200) return null
  }
  const tokens = { admin: producer.place.adminToken, viewer, none: null }
  const mayHaveBody = method !== 'GET' && method !== 'HEAD'
  return askProducer(producer.url, '', method, path, {
    token: tokens[token],
    ...(mayHaveBody && body !== undefined && { body: body === '' ? ' ' : body }),
  })
}

function judge({ route, method }: Drawn, answer: Answer): void {
  const { status, text, body } = answer
  expect(text).not.toMatch(INTERNAL)
  expect(text).not.toContain(process.cwd())
  if (status >= 400 && method !== 'HEAD') {
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/)
    expect(Object.keys(FAILURES)).toContain(body['code'])
    expect(body['code']).not.toBe('INTERNAL')
  }
  expect(status, text).toBeLessThan(500)
  if (method === route.method) expectDeclared(route, answer)
}

test(
  `no request makes the producer fail, tell what is inside, or answer what it does not declare (${REQUESTS} requests)`,
  { timeout: 600_000 },
  async () => {
    await using producer = await startTestProducer({ env: { COFFER_EGRESS_ALLOW: '127.0.0.1' } })
    const viewer = await producer.createToken('viewer')
    let sent = 0
    const answered = new Map<string, Set<number>>()
    const statuses = new Map<number, number>()
    await fc.assert(
      fc.asyncProperty(drawn, async (request) => {
        if (sent++ % REQUESTS_PER_TENANT === 0) await lookAround(producer)
        const answer = await send(producer, viewer, request)
        const status = answer?.status ?? 200
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
        const name = `${request.route.method} ${request.route.path}`
        if (request.method === request.route.method) answered.set(name, (answered.get(name) ?? new Set()).add(status))
        if (answer) judge(request, answer)
      }),
      { numRuns: REQUESTS, endOnFailure: true },
    )
    if (process.env['COFFER_TEST_FUZZ'] !== undefined) console.log(Object.fromEntries(statuses))
    const withSuccess = [...answered.values()].filter((all) => [...all].some((status) => status < 300))
    // A fuzz that is refused at the door finds nothing.
    expect(withSuccess.length).toBeGreaterThan(ROUTES.length / 2)
  },
)
