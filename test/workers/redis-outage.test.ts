import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { startOwnRedis, type OwnRedis } from '../support/own-redis.ts'
import { startTestProducer } from '../support/producer.ts'
import { until } from '../support/until.ts'
import { startProcess } from '../support/worker-process.ts'

const REQUESTS = 20
const LONGEST_ANSWER_MS = 2_000

interface Outage {
  title: string
  begin: (redis: OwnRedis) => Promise<void> | void
  end: (redis: OwnRedis) => Promise<void> | void
}

const OUTAGES: Outage[] = [
  { title: 'stopped, and empty when it is back', begin: (redis) => redis.stop(), end: (redis) => redis.start() },
  { title: 'frozen', begin: (redis) => redis.freeze(), end: (redis) => redis.thaw() },
  { title: 'full', begin: (redis) => redis.setFull(true), end: (redis) => redis.setFull(false) },
]

test.each(OUTAGES)(
  'F6 with Redis $title, backups are accepted in time, and all are done once it is back',
  async ({ begin, end }) => {
    await using redis = await startOwnRedis()
    await using producer = await startTestProducer({
      env: { COFFER_REDIS_URL: redis.url, COFFER_RECONCILE_SECONDS: '0.5' },
    })
    await using worker = startProcess('workers/main.ts', { env: producer.place.env })
    await worker.line(({ msg }) => msg === 'worker ready')
    const post = (resource: string, body: unknown) => producer.ask('POST', `/apps/v3/${resource}/`, { body })
    const application = (await post('applications', { slug: 'shop' })).body.uuid
    const media = join(producer.place.mediaRoot, 'shop')
    await mkdir(media)
    await writeFile(join(media, 'a'), 'a')
    const environments: string[] = []
    for (let n = 0; n < REQUESTS; n++) {
      const environment = (await post('environments', { application, slug: `e${n}`, plan: null })).body.uuid
      await post('service-instances', { environment, type: 'STORAGE', connection: { url: pathToFileURL(media).href } })
      environments.push(environment)
    }

    await begin(redis)
    const ids: string[] = []
    let slowest = 0
    for (const environment of environments) {
      const begun = performance.now()
      const answer = await post('backups', { environment })
      slowest = Math.max(slowest, performance.now() - begun)
      expect(answer.status).toBe(201)
      ids.push(answer.body.uuid)
    }
    expect(slowest).toBeLessThan(LONGEST_ANSWER_MS)
    const [outbox] = await producer.catalog.query<{ count: number }>('SELECT count(*) FROM outbox')
    expect(outbox?.count).toBeGreaterThan(0)
    await end(redis)

    const outcomes = await until(async () => {
      const rows = await producer.catalog.query<{ success: string | null }>(
        'SELECT success FROM backups WHERE id = ANY($1::uuid[])',
        [ids],
      )
      return rows.every(({ success }) => success !== null) && rows.map(({ success }) => success)
    })
    expect(outcomes).toEqual(Array<string>(REQUESTS).fill('SUCCESS'))
    const runs = await producer.catalog.query('SELECT 1 FROM service_instance_backups WHERE attempt > 1')
    expect(runs).toEqual([])
  },
)
