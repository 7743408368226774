import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { newPassword, type RunningServer, type ServerPlace } from './private-server.ts'
import { readServerSettings, updateServerSettings } from './run-record.ts'

const run = promisify(execFile)
const COMPOSE_FILE = join(import.meta.dirname, '../../docker-compose.yml')
const SERVERS = {
  postgres: {
    image: 'postgres:17',
    port: 5432,
    url: (place: string, key: string) => `postgres://coffer:${key}@${place}/coffer`,
  },
  redis: { image: 'redis:7', port: 6379, url: (place: string, key: string) => `redis://:${key}@${place}/0` },
} as const
type Service = keyof typeof SERVERS

/** Whether a Docker engine answers; to have the client alone is not enough. */
export async function isDockerRunning(): Promise<boolean> {
  try {
    await run('docker', ['info', '--format', '{{.ServerVersion}}'], { timeout: 10_000 })
    return true
  } catch {
    return false
  }
}

/** Compose for `up`, whose data stays in a volume; testcontainers for tests, whose containers go with the run. */
export function startInDocker(service: Service, place: ServerPlace): Promise<RunningServer> {
  place.log(`no ${service} on this machine, but Docker: starting it there`)
  return place.disposable ? startContainer(service) : startComposeService(service, place)
}

async function startComposeService(service: Service, place: ServerPlace): Promise<RunningServer> {
  const password = readServerSettings(place.dataDir).dockerPassword ?? newPassword()
  updateServerSettings(place.dataDir, { dockerPassword: password })
  const compose = (...args: string[]): ReturnType<typeof run> =>
    run('docker', ['compose', '--file', COMPOSE_FILE, ...args], {
      env: { ...process.env, COFFER_POSTGRES_PASSWORD: password, COFFER_REDIS_PASSWORD: password },
    })
  await compose('up', '--detach', '--wait', service)
  const { stdout } = await compose('port', service, String(SERVERS[service].port))
  return {
    url: SERVERS[service].url(String(stdout).trim(), password),
    stop: async () => {
      await compose('stop', service)
    },
  }
}

async function startContainer(service: Service): Promise<RunningServer> {
  const { GenericContainer, Wait } = await import('testcontainers')
  const { image, port, url } = SERVERS[service]
  const password = newPassword()
  const container = new GenericContainer(image).withExposedPorts(port).withWaitStrategy(Wait.forListeningPorts())
  const configured =
    service === 'postgres'
      ? container.withEnvironment({ POSTGRES_USER: 'coffer', POSTGRES_PASSWORD: password })
      : container.withCommand(['redis-server', '--requirepass', password])
  const started = await configured.start()
  return {
    url: url(`${started.getHost()}:${started.getMappedPort(port)}`, password),
    stop: async () => {
      await started.stop()
    },
  }
}
