import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { openCatalog, type Catalog } from '../shared/catalog/database.ts'
import { missingMigrations } from '../shared/catalog/migration-state.ts'
import { ensureDefaultOrganisation } from '../shared/catalog/organisations.ts'
import { ensureOwnBackup } from '../shared/catalog/own-backup.ts'
import { ensureShippedPlans } from '../shared/catalog/plans.ts'
import { ensureDefaultStore, isKnownStore, storeUrl } from '../shared/catalog/stores.ts'
import { seedAdminToken } from '../shared/catalog/tokens.ts'
import type { Clock } from '../shared/clock.ts'
import type { ProducerConfig } from '../shared/config.ts'
import { egressPolicy } from '../shared/egress/policy.ts'
import { CofferError } from '../shared/errors.ts'
import { identitiesIfThere } from '../shared/identities.ts'
import type { Logger } from '../shared/log.ts'
import { mediaPolicy } from '../shared/media/policy.ts'
import { outletsOf } from '../shared/notify/outlets.ts'
import { openQueues } from '../shared/queues.ts'
import { startRinger } from '../shared/ringer.ts'
import { openSecrets } from '../shared/secrets.ts'
import { openStore } from '../shared/storage/open-store.ts'
import { openStores } from '../shared/storage/open-stores.ts'
import { withoutRepeats } from '../shared/without-repeats.ts'
import type { Store } from '../shared/storage/store.ts'
import { createApp } from './app.ts'
import { createHttpServer } from './http-server.ts'
import { testKeys } from './keys.ts'
import type { ProducerSettings } from './producer.ts'
import { startWatch } from './watch.ts'

const MAX_CONNECTIONS = 10
const IDLE_SECONDS = 120
const DRAIN_MS = 10_000

export interface RunningProducer {
  /** `http://host:port` */
  url: string
  /** Takes no more requests, lets those under way end for up to ten seconds, then closes everything, newest first. */
  close(): Promise<void>
}

/**
 * Opens everything, prepares the catalog's default rows and listens.
 * @throws CONFIG_INVALID, SERVICE_UNAVAILABLE (catalog away or not migrated); what was opened is closed again
 */
export async function startProducer(config: ProducerConfig, log: Logger, clock: Clock): Promise<RunningProducer> {
  await using opened = new AsyncDisposableStack()
  const warn = withoutRepeats(
    (error: Error) => log.warn({ err: error }, 'a connection failed'),
    () => clock().getTime(),
  )
  const catalog = openCatalog({ url: config.COFFER_DATABASE_URL, maxConnections: MAX_CONNECTIONS, onError: warn })
  opened.defer(() => catalog.close())
  const stores = opened.use(openStores())
  const defaultStore = stores.open(config.COFFER_STORAGE_URL)
  const identities = await identitiesIfThere(config.COFFER_AGE_IDENTITY_FILE)
  const secrets = openSecrets(config.COFFER_SECRET_KEY)
  await prepareCatalog(catalog, defaultStore, config, clock())
  const [url, isOn] = [config.COFFER_DATABASE_URL, config.COFFER_CATALOG_BACKUP === 'on']
  await ensureOwnBackup(catalog, { secrets, url, isOn, now: clock() })
  const settings = settingsOf(config)
  await testKeys({ catalog, clock, log, identities, settings })

  const queues = openQueues(config.COFFER_REDIS_URL, warn)
  opened.defer(() => queues.close())
  const ringer = startRinger({ catalog, queues, log })
  opened.defer(() => ringer.close())
  const stopping = new AbortController()
  const outlets = outletsOf(config, secrets, clock)
  const app = createApp({
    stopping: stopping.signal,
    catalog,
    queues,
    ringer,
    secrets,
    clock,
    log,
    settings,
    openStore: async (id) => stores.open(await storeUrl(catalog, id)),
    tryStore,
    defaultStore,
    identities,
    outlets,
  })
  const server = createHttpServer(app, log)
  const connections = trackConnections(server)
  await listen(server, config)
  const watch = startWatch({ catalog, config, outlets, clock, log })
  opened.defer(() => watch.close())
  opened.defer(() => drain(server, connections))
  opened.defer(() => stopping.abort())
  const running = opened.move()
  return { url: addressOf(server, config.HOST), close: () => running.disposeAsync() }
}

async function prepareCatalog(catalog: Catalog, defaultStore: Store, config: ProducerConfig, now: Date): Promise<void> {
  const missing = await missingMigrations(catalog).catch((cause: unknown) => {
    throw new CofferError('SERVICE_UNAVAILABLE', 'the catalog database (COFFER_DATABASE_URL) does not answer', {
      cause,
    })
  })
  if (missing.length > 0)
    throw new CofferError(
      'CONFIG_INVALID',
      `the catalog lacks the migrations ${missing.join(', ')}; run "npm run migrate" first`,
    )
  await ensureDefaultOrganisation(catalog, now)
  await ensureShippedPlans(catalog, now)
  // Only the first time: a known store that lost its mark is an unmounted disk.
  if (!(await isKnownStore(catalog, config.COFFER_STORAGE_URL))) await defaultStore.prepare()
  await ensureDefaultStore(catalog, config.COFFER_STORAGE_URL, now)
  if (config.COFFER_ADMIN_TOKEN !== undefined) await seedAdminToken(catalog, config.COFFER_ADMIN_TOKEN, now)
}

async function tryStore(url: string): Promise<void> {
  let store: Store
  try {
    store = openStore(url)
  } catch (cause) {
    throw new CofferError('REQUEST_INVALID', (cause as Error).message, { cause, details: { field: 'url' } })
  }
  try {
    await store.check()
  } finally {
    store.close()
  }
}

function settingsOf(config: ProducerConfig): ProducerSettings {
  return {
    maxTries: config.COFFER_MAX_TRIES,
    linkSeconds: config.COFFER_LINK_SECONDS,
    uploadSeconds: config.COFFER_UPLOAD_SECONDS,
    uploadMaxBytes: config.COFFER_UPLOAD_MAX_BYTES,
    idleSeconds: IDLE_SECONDS,
    media: mediaPolicy(config),
    recipients: config.COFFER_AGE_RECIPIENTS,
    identityFile: config.COFFER_AGE_IDENTITY_FILE,
    workersDownSeconds: config.COFFER_WORKERS_DOWN_SECONDS,
    requestsPerMinute: config.COFFER_REQUESTS_PER_MINUTE,
    creationsPerMinute: config.COFFER_CREATIONS_PER_MINUTE,
    egress: egressPolicy(config.COFFER_EGRESS_ALLOW),
  }
}

async function listen(server: Server, { HOST: host, PORT: port }: ProducerConfig): Promise<void> {
  server.listen({ host, port })
  try {
    await once(server, 'listening')
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
    const why = code === 'EADDRINUSE' ? 'something else listens there' : code
    throw new CofferError('CONFIG_INVALID', `HOST and PORT: can't listen on ${host}:${port}: ${why}`, { cause })
  }
}

function addressOf(server: Server, host: string): string {
  const { port } = server.address() as AddressInfo
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}

function trackConnections(server: Server): ReadonlySet<Socket> {
  const connections = new Set<Socket>()
  server.on('connection', (socket) => {
    connections.add(socket)
    socket.once('close', () => connections.delete(socket))
  })
  return connections
}

async function drain(server: Server, connections: ReadonlySet<Socket>): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  // Browsers open some in advance, which Node doesn't count as idle.
  for (const socket of connections) if (socket.bytesRead === 0) socket.destroy()
  // A connection whose last request ended while we were stopping is idle only then.
  const sweep = setInterval(() => server.closeIdleConnections(), 50)
  const forced = setTimeout(() => server.closeAllConnections(), DRAIN_MS)
  await closed
  clearInterval(sweep)
  clearTimeout(forced)
}
