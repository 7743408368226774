import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { openCatalog, type Catalog } from '../../shared/catalog/database.ts'
import { migrate } from '../../shared/catalog/migrate.ts'
import { hashToken, type Role } from '../../shared/catalog/tokens.ts'
import { systemClock, type Clock } from '../../shared/clock.ts'
import { loadProducerConfig } from '../../shared/config.ts'
import { openLog } from '../../shared/log.ts'
import { startProducer } from '../../producer/start.ts'
import { createTestDatabase } from './databases.ts'
import { testRedisUrl } from './redis.ts'

/** The environment that a producer (and a worker of the same test) is started with, and the folders it names. */
export interface TestPlace extends AsyncDisposable {
  env: Record<string, string>
  adminToken: string
  /** Migrated. */
  databaseUrl: string
  folder: string
  mediaRoot: string
  storeFolder: string
}

/** A migrated catalog, a folder for media, one for the store, and the configuration that names them. Disposing removes all of it. */
export async function createTestPlace(env: Record<string, string> = {}): Promise<TestPlace> {
  const database = await createTestDatabase()
  await migrate(database.url, () => undefined)
  const folder = await mkdtemp(join(tmpdir(), 'coffer-producer-'))
  const [dataDir, mediaRoot, storeFolder] = [join(folder, 'data'), join(folder, 'media'), join(folder, 'store')]
  await Promise.all([dataDir, mediaRoot, storeFolder].map((path) => mkdir(path)))
  const adminToken = randomBytes(32).toString('hex')
  return {
    env: {
      HOST: '127.0.0.1',
      PORT: '0',
      COFFER_DATABASE_URL: database.url,
      COFFER_REDIS_URL: testRedisUrl(),
      COFFER_STORAGE_URL: pathToFileURL(storeFolder).href,
      COFFER_DATA_DIR: dataDir,
      COFFER_SECRET_KEY: randomBytes(32).toString('base64'),
      COFFER_ADMIN_TOKEN: adminToken,
      COFFER_MEDIA_ROOTS: mediaRoot,
      // Tests count applications and backups.
      COFFER_CATALOG_BACKUP: 'off',
      // Tests ask faster than anybody; those of the limits set their own.
      COFFER_REQUESTS_PER_MINUTE: '1000000',
      COFFER_CREATIONS_PER_MINUTE: '1000000',
      ...env,
    },
    adminToken,
    databaseUrl: database.url,
    folder,
    mediaRoot,
    storeFolder,
    async [Symbol.asyncDispose]() {
      await database.drop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

export interface Answer {
  status: number
  headers: Headers
  text: string
  /** The body as JSON; empty when it is none. */
  body: Body
}

interface Row {
  uuid: string
  slug: string
  service_type: string
  [name: string]: unknown
}

/** What answers hold. Which of it is there, each test knows that asked. */
export interface Body extends Row {
  count: number
  next: string
  previous: string
  results: Row[]
  organisation: string
  service_instance_backups: string[]
  scheduled_for_deletion_at: string
  detail: string
  remedy: string
  request_id: string
  errors: { field: string; message: string }[]
  overdue: { count: number }
}

export interface Ask {
  token?: string | null
  /** Sent as JSON, unless it is text already. */
  body?: unknown
  headers?: Record<string, string>
}

export interface TestProducer extends AsyncDisposable {
  url: string
  place: TestPlace
  catalog: Catalog
  /** As the admin, unless another token, or none (null), is given. */
  ask(method: string, path: string, ask?: Ask): Promise<Answer>
  /** A new token of this role; without an organisation it is for the whole installation. */
  createToken(role: Role, organisationId?: string): Promise<string>
}

/** The real producer in this process, on a port of its own. */
export async function startTestProducer({
  env = {},
  clock = systemClock,
}: { env?: Record<string, string>; clock?: Clock } = {}): Promise<TestProducer> {
  await using opened = new AsyncDisposableStack()
  const place = opened.use(await createTestPlace(env))
  const producer = await startProducer(loadProducerConfig(place.env), openLog('producer', 'silent'), clock)
  opened.defer(() => producer.close())
  const catalog = openCatalog({ url: place.databaseUrl, maxConnections: 4, onError: () => undefined })
  opened.defer(() => catalog.close())
  const all = opened.move()
  return {
    url: producer.url,
    place,
    catalog,
    ask: (method, path, ask) => askProducer(producer.url, place.adminToken, method, path, ask),
    async createToken(role, organisationId) {
      const token = randomBytes(32).toString('hex')
      await catalog.query(
        'INSERT INTO tokens (id, organisation_id, name, role, sha256, created_at) VALUES (gen_random_uuid(), $1, $2, $3, $4, now())',
        [organisationId ?? null, `${role} of a test`, role, hashToken(token)],
      )
      return token
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}

export async function askProducer(
  url: string,
  adminToken: string,
  method: string,
  path: string,
  { token = adminToken, body, headers = {} }: Ask = {},
): Promise<Answer> {
  const response = await fetch(new URL(path, url), {
    method,
    redirect: 'manual',
    headers: {
      ...(token === null ? {} : { authorization: `Token ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  const isJson = /\bjson\b/.test(response.headers.get('content-type') ?? '')
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: (isJson && text !== '' ? JSON.parse(text) : {}) as Body,
  }
}
