import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import autocannon from 'autocannon'
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

  const load = async (title: string) => {
    const result = await autocannon({
      url,
      connections: 20,
      overallRate: perSecond,
      duration: LOAD_SECONDS,
      headers: { authorization: `Token ${place.adminToken}`, 'content-type': 'application/json' },
      requests: environments.map((environment) => ({
        method: 'POST',
        path: '/apps/v3/backups/',
        body: JSON.stringify({ environment }),
      })),
    })
    const { p50, p97_5, p99, max } = result.latency
    say(
      `${title}: ${result['2xx']} answers 2xx and ${result.non2xx} others in ${result.duration} s, ` +
        `p50 ${p50} ms, p97.5 ${p97_5} ms, p99 ${p99} ms, max ${max} ms; ${result.errors} errors, ${result.timeouts} timeouts`,
    )
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
  const busy = startProcess('workers/main.ts', { env: place.env })
  await busy.line(({ msg }) => msg === 'worker ready')
  await load(`POST /backups/ at ${perSecond} a second, while a worker works them off`)
  await busy.stop()
  await catalog.close()
} finally {
  await services.stop()
}
