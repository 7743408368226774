import { randomBytes, randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Redis } from 'ioredis'
import { createApplication } from '../../shared/catalog/applications.ts'
import { createBackup, getBackup, type BackupView } from '../../shared/catalog/backups.ts'
import { openCatalog, type Catalog } from '../../shared/catalog/database.ts'
import { createEnvironment } from '../../shared/catalog/environments.ts'
import { migrate } from '../../shared/catalog/migrate.ts'
import { defaultOrganisationId, ensureDefaultOrganisation } from '../../shared/catalog/organisations.ts'
import {
  listServiceInstanceBackups,
  type ServiceInstanceBackupView,
} from '../../shared/catalog/service-instance-backups.ts'
import { createServiceInstance } from '../../shared/catalog/service-instances.ts'
import { ensureDefaultStore } from '../../shared/catalog/stores.ts'
import { encryptConnection } from '../../shared/connections.ts'
import type { ServiceType } from '../../shared/domain/states.ts'
import { generateIdentity } from '../../shared/pipeline/age-header.ts'
import { openQueues, type Queues } from '../../shared/queues.ts'
import { startRinger, type Ringer } from '../../shared/ringer.ts'
import { openLog } from '../../shared/log.ts'
import { openSecrets, type Secrets } from '../../shared/secrets.ts'
import { openStore } from '../../shared/storage/open-store.ts'
import type { Store } from '../../shared/storage/store.ts'
import { createTestDatabase } from './databases.ts'
import type { S3Server } from './s3-server/server.ts'
import { testRedisUrl } from './redis.ts'
import { until } from './until.ts'
import { startProcess, type CofferProcess } from './worker-process.ts'

const SCOPE = { organisationId: null }

/** A whole Coffer of its own: catalog, Redis database, store, keys and data folder. Ends with all of them. */
export interface TestCoffer extends AsyncDisposable {
  readonly catalog: Catalog
  readonly queues: Queues
  readonly ringer: Ringer
  readonly redis: Redis
  readonly secrets: Secrets
  readonly store: Store
  readonly folder: string
  readonly identity: string
  readonly env: Record<string, string>
  readonly environmentId: string
  addService(type: ServiceType, url: string, prefix?: string): Promise<string>
  addEnvironment(slug: string): Promise<string>
  /** Makes a media root that the operator allows. */
  mediaRoot(name: string): Promise<{ path: string; url: string }>
  backup(input?: { services?: string[]; environmentId?: string }): Promise<BackupView>
  /** Resolves when the backup has ended, however. */
  ended(id: string): Promise<BackupView>
  parts(backupId: string): Promise<ServiceInstanceBackupView[]>
  /** Starts a worker process and waits until it listens. */
  worker(options?: { env?: Record<string, string>; killAt?: string }): Promise<CofferProcess>
  /** Keys of all objects in the store, sorted. */
  objects(): Promise<string[]>
}

export interface TestCofferOptions {
  /** Instead of a folder of its own. */
  s3?: Pick<S3Server, 'url' | 'credentials' | 'keys'> | null
  env?: Record<string, string>
}

export async function startTestCoffer({ s3 = null, ...options }: TestCofferOptions = {}): Promise<TestCoffer> {
  await using scope = new AsyncDisposableStack()
  const database = await createTestDatabase()
  scope.defer(() => database.drop())
  await migrate(database.url, () => undefined)
  const folder = await mkdtemp(join(tmpdir(), 'coffer-test-'))
  scope.defer(() => rm(folder, { recursive: true, force: true }))
  const { identity, recipient } = await generateIdentity()
  await mkdir(join(folder, 'media'))
  await writeFile(join(folder, 'identity.txt'), `${identity}\n`, { mode: 0o600 })
  const redisUrl = testRedisUrl()
  const env: Record<string, string> = {
    COFFER_DATABASE_URL: database.url,
    COFFER_REDIS_URL: redisUrl,
    COFFER_STORAGE_URL: s3?.url ?? pathToFileURL(join(folder, 'store')).href,
    COFFER_DATA_DIR: folder,
    COFFER_SECRET_KEY: randomBytes(32).toString('base64'),
    COFFER_AGE_RECIPIENTS: recipient,
    COFFER_AGE_IDENTITY_FILE: join(folder, 'identity.txt'),
    COFFER_MEDIA_ROOTS: join(folder, 'media'),
    // Tests count applications and backups.
    COFFER_CATALOG_BACKUP: 'off',
    COFFER_LEASE_SECONDS: '3',
    COFFER_RECONCILE_SECONDS: '0.5',
    COFFER_RETRY_SECONDS: '0.2',
    COFFER_ORPHAN_SECONDS: '0',
    ...s3?.credentials,
    ...options.env,
  }
  const redis = new Redis(redisUrl)
  scope.defer(() => redis.disconnect())
  await redis.flushdb()
  const catalog = openCatalog({ url: database.url, maxConnections: 5, onError: () => undefined })
  scope.defer(() => catalog.close())
  const queues = openQueues(redisUrl, () => undefined)
  scope.defer(() => queues.close())
  await until(() => redis.ping())
  const ringer = startRinger({ catalog, queues, log: openLog('test', 'error') })
  scope.defer(() => ringer.close())
  const secrets = openSecrets(env.COFFER_SECRET_KEY ?? '')
  const store = openStore(env.COFFER_STORAGE_URL ?? '', s3 ? { credentials: s3.keys } : {})
  scope.defer(() => store.close())
  const processes: CofferProcess[] = []
  scope.defer(async () => {
    await Promise.all(processes.map((process) => process[Symbol.asyncDispose]()))
  })

  await store.prepare()
  await ensureDefaultOrganisation(catalog, new Date())
  await ensureDefaultStore(catalog, env.COFFER_STORAGE_URL ?? '', new Date())
  const application = await createApplication(catalog, {
    organisationId: await defaultOrganisationId(catalog),
    slug: 'shop',
    name: 'Shop',
    now: new Date(),
  })
  const addEnvironment = async (slug: string) => {
    const created = await createEnvironment(catalog, {
      applicationId: application.uuid,
      slug,
      planId: null,
      storeId: null,
      timezone: 'Europe/Zurich',
      now: new Date(),
      scope: SCOPE,
    })
    return created.uuid
  }
  const environmentId = await addEnvironment('live')
  const kept = scope.move()
  return {
    catalog,
    queues,
    ringer,
    redis,
    secrets,
    store,
    folder,
    identity,
    env,
    environmentId,
    addEnvironment,
    async addService(type, url, prefix = 'DEFAULT') {
      const id = randomUUID()
      const connection = encryptConnection(secrets, id, { url })
      const created = await createServiceInstance(catalog, {
        id,
        environmentId,
        type,
        prefix,
        connection,
        scope: SCOPE,
        now: new Date(),
      })
      return created.uuid
    },
    async mediaRoot(name) {
      const path = join(folder, 'media', name)
      await mkdir(path, { recursive: true })
      return { path, url: pathToFileURL(path).href }
    },
    async backup(input = {}) {
      const backup = await createBackup(catalog, {
        environmentId: input.environmentId ?? environmentId,
        services: input.services,
        trigger: 'MANUAL',
        notes: '',
        scheduledForDeletionAt: null,
        maxTries: 3,
        scope: SCOPE,
        now: new Date(),
      })
      ringer.nudge()
      return backup
    },
    ended: (id) =>
      until(async () => {
        const backup = await getBackup(catalog, id, SCOPE)
        return backup.state === 'COMPLETED' && backup
      }),
    parts: async (backupId) =>
      (await listServiceInstanceBackups(catalog, { scope: SCOPE, backupId, page: { limit: 100, offset: 0 } })).rows,
    async worker({ env: extra = {}, killAt } = {}) {
      const started = startProcess('workers/main.ts', {
        env: { ...env, ...extra },
        ...(killAt === undefined ? {} : { killAt }),
      })
      processes.push(started)
      await started.line(({ msg }) => msg === 'worker ready')
      return started
    },
    async objects() {
      const keys: string[] = []
      for await (const object of store.list('')) keys.push(object.key)
      return keys.sort()
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}
