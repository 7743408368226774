import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { apiRoutes } from '../../producer/app.ts'
import type { Producer } from '../../producer/producer.ts'
import type { Route } from '../../producer/routes.ts'
import { ROLES, type Role } from '../../shared/catalog/tokens.ts'
import { startTestProducer, type TestProducer } from '../support/producer.ts'
import { createDownloadOf, createSinkOf, createTenant, createTokenOf, createTree, name, type Tenant } from './tenant.ts'

// Every route, every role, the whole installation, the own organisation and a foreign one. A new route is in here by itself: where one of
// the tables lacks it, its test is red. The handlers of ROUTES are not called: only what the table of routes says of each is read.
const ROUTES = apiRoutes({ settings: {} } as Producer)

/** What each `:param` of each resource is an id of. */
const PARAMS: Record<string, keyof Tenant> = {
  'applications :uuid': 'application',
  'environments :uuid': 'environment',
  'service-instances :uuid': 'service',
  'backups :uuid': 'backup',
  'service-instance-backups :uuid': 'part',
  'backup-downloads :uuid': 'download',
  'backup-download-service-instances :uuid': 'item',
  'backup-restores :uuid': 'restore',
  'organisations :uuid': 'organisation',
  'tokens :uuid': 'token',
  'plans :uuid': 'plan',
  'stores :uuid': 'store',
  'verifications :uuid': 'verification',
  'notification-sinks :uuid': 'sink',
  'keys :recipient': 'recipient',
}

/** What belongs to no organisation. */
const SHARED = new Set(['plans', 'stores', 'keys', 'catalog'])

/** What only tokens of the whole installation may do, whatever their role. */
const WHOLE_ONLY = new Set([
  'POST /apps/v3/plans/',
  'PATCH /apps/v3/plans/:uuid/',
  'DELETE /apps/v3/plans/:uuid/',
  'POST /apps/v3/stores/',
  'POST /apps/v3/stores/:uuid/check/',
  'POST /apps/v3/catalog/rebuild/',
  'POST /apps/v3/backups/:uuid/accept/',
  'GET /apps/v3/keys/',
  'POST /apps/v3/keys/',
  'POST /apps/v3/keys/:recipient/retire/',
  'GET /apps/v3/keys/:recipient/backups/',
  'POST /apps/v3/organisations/',
  'PATCH /apps/v3/organisations/:uuid/',
])

/** A valid body of each POST that makes something, and of each other change that wants one. They refer to what the tenant has. */
const BODIES: Record<string, (own: Tenant) => object> = {
  'POST /apps/v3/applications/': ({ organisation }) => ({ slug: name('app'), organisation }),
  'POST /apps/v3/environments/': ({ application }) => ({ application, slug: name('env') }),
  'POST /apps/v3/service-instances/': ({ environment }) => ({
    environment,
    type: 'DATABASE',
    prefix: name('P').replace('-', '_').toUpperCase(),
    // An organisation's admin registers what the egress policy lets pass.
    connection: { url: 'postgres://u:p@8.8.8.8/shop' },
  }),
  'POST /apps/v3/plans/': () => ({ slug: name('plan') }),
  'POST /apps/v3/organisations/': () => ({ slug: name('org') }),
  'POST /apps/v3/tokens/': ({ organisation }) => ({ name: 'made', role: 'admin', organisation }),
  // The store that is there already: registering it again is a conflict, and makes no folder a store.
  'POST /apps/v3/stores/': () => ({ name: name('store'), url: producer.place.env['COFFER_STORAGE_URL'] }),
  'POST /apps/v3/catalog/rebuild/': ({ store }) => ({ store }),
  'POST /apps/v3/keys/': ({ recipient }) => ({ recipient, name: 'the matrix', accept_unreadable: true }),
  'POST /apps/v3/keys/:recipient/retire/': () => ({ accept_unreadable: true }),
  'POST /apps/v3/backups/upload/': ({ environment, service }) => ({ environment, services: [service] }),
  'POST /apps/v3/verifications/': ({ part }) => ({ service_instance_backup: part, level: 'metadata' }),
  'POST /apps/v3/notification-sinks/': ({ environment }) => ({
    name: 'hook',
    type: 'webhook',
    url: 'https://8.8.8.8/hook',
    environments: [environment],
  }),
  'POST /apps/v3/backups/': ({ environment }) => ({ environment }),
  'POST /apps/v3/backup-downloads/': ({ backup }) => ({ backup }),
  'POST /apps/v3/backup-restores/': ({ backup, part }) => ({
    backup,
    service_instance_restores: [{ service_instance_backup: part }],
  }),
  'POST /apps/v3/backups/:uuid/hold/': () => ({ reason: 'the matrix' }),
  'POST /apps/v3/backups/:uuid/delete/': () => ({ reason: 'the matrix' }),
}

/** Lists and views that want to be told of what. */
const QUERIES: Record<string, (own: Tenant) => string> = {
  '/apps/v3/retention-preview/': ({ environment }) => `?environment=${environment}`,
}

/** Lists that name nothing of an organisation. */
const NAMELESS = new Set(['/iam/v3/me/', '/apps/v3/plans/', '/apps/v3/stores/', '/apps/v3/keys/'])

type Place = 'whole' | 'own' | 'foreign'
const PLACES: Place[] = ['whole', 'own', 'foreign']

let producer: TestProducer
let tenant: Tenant
const tokens = new Map<string, string>()
/** An admin's of an organisation that never asked for anything. */
let stranger: string

beforeAll(async () => {
  // An hour passes between any two looks at the clock, so that wrong tokens never add up.
  let time = Date.now()
  producer = await startTestProducer({ clock: () => new Date((time += 3_600_000)) })
  tenant = await createTenant(producer)
  const foreign = await createTenant(producer)
  const organisations = { whole: undefined, own: tenant.organisation, foreign: foreign.organisation }
  stranger = await producer.createToken('admin', (await createTenant(producer)).organisation)
  for (const place of PLACES)
    for (const role of ROLES) tokens.set(`${role} ${place}`, await producer.createToken(role, organisations[place]))
})
afterAll(() => producer[Symbol.asyncDispose]())

const nameOf = ({ method, path }: Route) => `${method} ${path}`
const resourceOf = ({ path }: Route) => path.split('/')[3] ?? ''
const paramsOf = ({ path }: Route) => path.match(/:\w+/g) ?? []

function addressOf(route: Route, ids: Tenant): string {
  const path = paramsOf(route).reduce((text, param) => {
    const key = PARAMS[`${resourceOf(route)} ${param}`]
    if (!key) throw new Error(`PARAMS lacks "${resourceOf(route)} ${param}" of ${nameOf(route)}`)
    return text.replace(param, ids[key])
  }, route.path)
  return path + (QUERIES[route.path]?.(ids) ?? '')
}

function bodyOf(route: Route, ids: Tenant): object | undefined {
  if (route.method === 'GET' || route.method === 'DELETE') return undefined
  const isCreation = route.method === 'POST' && paramsOf(route).length === 0
  if (isCreation && !BODIES[nameOf(route)]) throw new Error(`BODIES lacks ${nameOf(route)}`)
  return BODIES[nameOf(route)]?.(ids) ?? {}
}

function expected(route: Route, role: Role, place: Place): 'allowed' | 403 | 404 {
  const refersToOwn = paramsOf(route).length > 0 || route.path in QUERIES || nameOf(route) in BODIES
  const isShared = SHARED.has(resourceOf(route))
  if (ROLES.indexOf(role) < ROLES.indexOf(route.role)) return 403
  if (place === 'foreign' && refersToOwn && !isShared && nameOf(route) !== 'POST /apps/v3/organisations/') return 404
  return place !== 'whole' && WHOLE_ONLY.has(nameOf(route)) ? 403 : 'allowed'
}

/** A deletion takes what was made for it. */
async function idsFor({ method }: Route): Promise<Tenant> {
  if (method !== 'DELETE') return tenant
  const plan = (await producer.ask('POST', '/apps/v3/plans/', { body: { slug: name('gone') } })).body.uuid
  const { organisation } = tenant
  return {
    ...tenant,
    ...(await createTree(producer, organisation)),
    token: await createTokenOf(producer, organisation),
    sink: await createSinkOf(producer, organisation),
    download: await createDownloadOf(producer, tenant.backup),
    plan,
  }
}

test.each(ROUTES)('$method $path is refused without a token and with a wrong one', async (route) => {
  for (const token of [null, 'wrong']) {
    const answer = await producer.ask(route.method, addressOf(route, tenant), { token })
    expect(answer.body).toMatchObject({ status: 401, code: 'UNAUTHENTICATED' })
    expect(answer.headers.get('www-authenticate')).toBe('Token realm="coffer"')
  }
})

test.each(ROUTES)('$method $path does for each role and tenant what it may, and nothing else', async (route) => {
  const answers: [string, number | string, string][] = []
  for (const place of PLACES)
    for (const role of ROLES) {
      const wanted = expected(route, role, place)
      const ids = wanted === 'allowed' ? await idsFor(route) : tenant
      const body = bodyOf(route, ids)
      const token = tokens.get(`${role} ${place}`) ?? ''
      const answer = await producer.ask(route.method, addressOf(route, ids), { token, ...(body && { body }) })
      const isAllowed = answer.status < 300 || answer.status === 409
      answers.push([`${role} ${place}`, isAllowed ? 'allowed' : answer.status, isAllowed ? '' : answer.text])
    }
  const wanted = PLACES.flatMap((place) => ROLES.map((role) => [`${role} ${place}`, expected(route, role, place)]))
  expect(
    answers.map(([who, status]) => [who, status]),
    JSON.stringify(answers),
  ).toEqual(wanted)
})

test.each(ROUTES.filter((route) => paramsOf(route).length > 0))(
  '$method $path knows nothing of an id that nothing has',
  async (route) => {
    const path = route.path.replace(/:\w+/g, () => randomUUID())
    const body = bodyOf(route, tenant)
    expect((await producer.ask(route.method, path, body && { body })).status).toBe(404)
  },
)

test.each(ROUTES.filter((route) => route.method === 'GET' && paramsOf(route).length === 0))(
  '$method $path shows nothing of an organisation to another',
  async (route) => {
    const ids = (Object.entries(tenant) as [string, string][]).filter(
      ([key]) => !['plan', 'store', 'recipient'].includes(key),
    )
    const shownTo = async (token = '') => {
      const { text } = await producer.ask('GET', addressOf(route, tenant), { token })
      return ids.filter(([, id]) => text.includes(id))
    }
    // A refusal names what was asked for.
    if (!(route.path in QUERIES)) expect(await shownTo(stranger)).toEqual([])
    if (NAMELESS.has(route.path)) return
    for (const who of ['admin own', 'admin whole']) expect(await shownTo(tokens.get(who)), who).not.toEqual([])
  },
)
