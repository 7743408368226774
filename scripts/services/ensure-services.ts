import { join } from 'node:path'
import { CofferError } from '../../shared/errors.ts'
import { canInstall, installPackages } from './apt.ts'
import { findOnPath, findPostgres, findRedis } from './binaries.ts'
import { isDockerRunning, startInDocker } from './docker.ts'
import { checkGivenDatabase, checkGivenRedis, isCofferKey, isTestKey } from './given.ts'
import { clusterMajor } from './postgres-cluster.ts'
import { startPrivatePostgres } from './private-postgres.ts'
import { startPrivateRedis } from './private-redis.ts'
import type { RunningServer } from './private-server.ts'
import { openServerPlace, type OpenServerPlace } from './server-place.ts'

export interface ServiceRequest {
  /** `test`: servers for this one run, thrown away by `stop`. */
  mode: 'up' | 'test'
  /** The data folder of `up`; for tests, the folder that holds one folder a run. */
  dataDir: string
  env: NodeJS.ProcessEnv
  log: (line: string) => void
}

export interface Services {
  databaseUrl: string
  redisUrl: string
  /** Where drills may make databases: the private PostgreSQL, by a role that can't enter the catalog. Absent for servers that were given. */
  drillUrl?: string | undefined
  /** Starts again what was started here and has died. @throws CofferError when that fails */
  revive(): Promise<void>
  /** Stops Redis, then PostgreSQL; leaves servers that were given alone. May run twice. */
  stop(): Promise<void>
}

/** The only names that are read: DATABASE_URL and REDIS_URL belong to an application. */
const GIVEN = {
  up: { database: 'COFFER_DATABASE_URL', redis: 'COFFER_REDIS_URL' },
  test: { database: 'COFFER_TEST_DATABASE_URL', redis: 'COFFER_TEST_REDIS_URL' },
} as const

/**
 * Finds or starts PostgreSQL and Redis: an address that was given, else the programs of this machine, else Docker, else the
 * packages of Debian. Servers of an earlier run of the same data folder are adopted.
 *
 * @throws CofferError CONFIG_INVALID when a given server is refused, or none can be had; what was started is stopped.
 */
export async function ensureServices(request: ServiceRequest): Promise<Services> {
  // Opened only for a private server: where both are given, nothing is left on this machine.
  let place: Promise<OpenServerPlace> | undefined
  const openPlace = (): Promise<OpenServerPlace> => (place ??= openServerPlace(request))
  const started: RunningServer[] = []
  const stop = async (): Promise<void> => {
    for (const server of started.toReversed()) await server.stop()
    await (await place)?.close()
  }
  try {
    const postgres = await ensurePostgres(request, openPlace)
    started.push(postgres)
    const redis = await ensureRedis(request, openPlace)
    started.push(redis)
    const revive = async (): Promise<void> => {
      for (const server of started) await server.revive?.()
    }
    return { databaseUrl: postgres.url, redisUrl: redis.url, drillUrl: postgres.drillUrl, revive, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Programs that tests run: those of the machine, else Debian's packages of the same names. */
export async function ensurePrograms(
  programs: readonly string[],
  { env, log }: Pick<ServiceRequest, 'env' | 'log'>,
): Promise<void> {
  const missing = programs.filter((program) => findOnPath(program, env) === null)
  if (missing.length > 0) await install(missing, log)
}

async function ensurePostgres(
  request: ServiceRequest,
  openPlace: () => Promise<OpenServerPlace>,
): Promise<RunningServer> {
  const name = GIVEN[request.mode].database
  const url = request.env[name]
  if (url !== undefined && url !== '') {
    await checkGivenDatabase(name, url)
    return { url, stop: () => Promise.resolve() }
  }
  const place = await openPlace()
  const major = clusterMajor(join(place.folder, 'postgres'))
  const find = () => findPostgres(request.env, major)
  const found = find()
  if (found === null && major === undefined && (await isDockerRunning())) return startInDocker('postgres', place)
  const wanted = major === undefined ? 'postgresql' : `postgresql-${major}`
  return startPrivatePostgres(place, found ?? (await installUntilFound([wanted], find, name, request.log)))
}

async function ensureRedis(request: ServiceRequest, openPlace: () => Promise<OpenServerPlace>): Promise<RunningServer> {
  const name = GIVEN[request.mode].redis
  const url = request.env[name]
  if (url !== undefined && url !== '') {
    await checkGivenRedis(name, url, request.mode === 'up' ? isCofferKey : isTestKey)
    return { url, stop: () => Promise.resolve() }
  }
  const place = await openPlace()
  const find = () => findRedis(request.env)
  const found = find()
  if (found === null && (await isDockerRunning())) return startInDocker('redis', place)
  return startPrivateRedis(place, found ?? (await installUntilFound(['redis-tools'], find, name, request.log)))
}

async function installUntilFound<T>(
  packages: readonly string[],
  find: () => T | null,
  variable: string,
  log: (line: string) => void,
): Promise<T> {
  await install(packages, log, `, or give the address of a running server in ${variable}`)
  const found = find()
  if (found !== null) return found
  throw new CofferError(
    'CONFIG_INVALID',
    `${packages.join(', ')} is installed, but its programs are not where expected`,
  )
}

async function install(packages: readonly string[], log: (line: string) => void, alternative = ''): Promise<void> {
  if (canInstall()) return installPackages(packages, log)
  const command = `sudo apt-get install ${packages.join(' ')}`
  const message = `this machine lacks ${packages.join(', ')}: install it (on Debian or Ubuntu: ${command})${alternative}`
  throw new CofferError('CONFIG_INVALID', message)
}
