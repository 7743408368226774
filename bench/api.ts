import { mkdir, readFile } from 'node:fs/promises'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import autocannon, { type Result } from 'autocannon'
import { openCatalog } from '../shared/catalog/database.ts'
import { ensureTestServices } from '../scripts/services/test-services.ts'
import { askProducer, createTestPlace } from '../test/support/producer.ts'
import { until } from '../test/support/until.ts'
import { startProcess } from '../test/support/worker-process.ts'

// How long a backup waits for an idle worker, and how long `POST /backups/` takes under load: `npm run bench:api [-- <requests a second>]`.
const [perSecond = 200] = process.argv.slice(2).map(Number)
const ENVIRONMENTS = 50
const IDLE_BACKUPS = 100
const LOAD_SECONDS = 20
const CONNECTIONS = 20
const SECOND_MS = 1000

const services = await ensureTestServices(process.env)
process.env.COFFER_TEST_DATABASE_URL = services.databaseUrl
process.env.COFFER_TEST_REDIS_URL = services.redisUrl

const say = (line: string) => process.stdout.write(`${line}\n`)
const percentile = (sorted: readonly number[], of: number) =>
  sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * of) - 1)] ?? NaN

try {
  await using place = await createTestPlace({ COFFER_LOG_LEVEL: 'info' })
  await using producer = startProcess('producer/main.ts', { env: place.env })
  const { url } = (await producer.line(({ msg }) => msg === 'listening')) as unknown as { url: string }
  const post = async (resource: string, body: unknown) => {
    const answer = await askProducer(url, place.adminToken, 'POST', `/apps/v3/${resource}/`, { body })
    if (answer.status !== 201) throw new Error(`${resource}: ${answer.text}`)
    return answer.body.uuid
  }
  const media = join(place.mediaRoot, 'small')
  await mkdir(media)
  const application = await post('applications', { slug: 'bench' })
  const environments: string[] = []
  for (let n = 0; n < ENVIRONMENTS; n++) {
    const environment = await post('environments', { application, slug: `environment-${n}`, plan: null })
    const connection = { url: pathToFileURL(media).href }
    await post('service-instances', { environment, type: 'STORAGE', connection })
    environments.push(environment)
  }
  const catalog = openCatalog({ url: place.databaseUrl, maxConnections: 2, onError: () => undefined })

  /** autocannon sends what a connection has to send in a second at once, so that connections that begin together make bursts. */
  const load = async (title: string, betweenMs = SECOND_MS / CONNECTIONS) => {
    const took: number[] = []
    const connect = async (_: unknown, n: number) => {
      await sleep(n * betweenMs)
      const options = {
        url,
        connections: 1,
        connectionRate: perSecond / CONNECTIONS,
        duration: LOAD_SECONDS,
        headers: { authorization: `Token ${place.adminToken}`, 'content-type': 'application/json' },
        requests: environments.map((environment) => ({
          method: 'POST' as const,
          path: '/apps/v3/backups/',
          body: JSON.stringify({ environment }),
        })),
      }
      return new Promise<Result>((resolve, reject) => {
        const run = autocannon(options, (error: Error | null, result) => (error ? reject(error) : resolve(result)))
        run.on('response', (_client, _status, _bytes, ms) => took.push(ms))
      })
    }
    const busy = await processorSeconds()
    const runs = await Promise.all(Array.from({ length: CONNECTIONS }, connect))
    const used = (await processorSeconds()) - busy
    const sum = (of: '2xx' | 'non2xx' | 'errors' | 'timeouts') => runs.reduce((total, run) => total + run[of], 0)
    took.sort((a, b) => a - b)
    const [p50, p95, p99, max] = [0.5, 0.95, 0.99, 1].map((of) => percentile(took, of).toFixed(1))
    say(
      `${title}: ${sum('2xx')} answers 2xx and ${sum('non2xx')} others, ${sum('errors')} errors, ${sum('timeouts')} timeouts; ` +
        `p50 ${p50} ms, p95 ${p95} ms, p99 ${p99} ms, max ${max} ms; ` +
        `${((used / took.length) * 1000).toFixed(2)} ms of the producer's processor time each, load ${loadavg()[0]?.toFixed(1)}`,
    )
  }

  const processorSeconds = async () => {
    const fields = (await readFile(`/proc/${producer.child.pid}/stat`, 'latin1')).split(') ')[1]?.split(' ') ?? []
    return (Number(fields[11]) + Number(fields[12])) / 100
  }

  const worker = startProcess('workers/main.ts', { env: place.env })
  await worker.line(({ msg }) => msg === 'worker ready')
  for (let n = 0; n < IDLE_BACKUPS; n++) {
    const id = await post('backups', { environment: environments[n % ENVIRONMENTS] })
    await until(async () => {
      const [row] = await catalog.query<{ state: string }>('SELECT state FROM backups WHERE id = $1', [id])
      return row?.state === 'COMPLETED'
    })
  }
  const waits = await catalog.query<{ ms: number }>(
    `SELECT extract(epoch FROM started_at - queued_at)::float8 * 1000 AS ms FROM service_instance_backups ORDER BY 1`,
  )
  const sorted = waits.map(({ ms }) => ms)
  say(
    `from POST /backups/ to the start of the run, idle, ${sorted.length} backups one after the other: ` +
      `p50 ${percentile(sorted, 0.5)} ms, p95 ${percentile(sorted, 0.95)} ms, max ${sorted.at(-1) ?? NaN} ms`,
  )
  await worker.stop()
  await load(`POST /backups/ at ${perSecond} a second, no worker`)
  await load(`the same in bursts of ${CONNECTIONS} at once`, 0)
  const busy = startProcess('workers/main.ts', { env: place.env })
  await busy.line(({ msg }) => msg === 'worker ready')
  await load(`POST /backups/ at ${perSecond} a second, while a worker works them off`)
  await busy.stop()
  await catalog.close()
} finally {
  await services.stop()
}
