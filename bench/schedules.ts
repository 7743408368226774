import { listLiveSchedules } from '../shared/catalog/schedules.ts'
import { createPlan } from '../shared/catalog/plans.ts'
import { syncSchedulesOfPlan } from '../shared/catalog/schedules.ts'
import { DEFAULT_POLICY } from '../shared/domain/retention/policy.ts'
import { ensureTestServices } from '../scripts/services/test-services.ts'
import { startTestCoffer } from '../test/support/coffer.ts'
import { firingAt } from '../test/support/schedules.ts'
import { fireDueSchedules } from '../workers/tick/fire-schedules.ts'
import { watchSchedules } from '../workers/tick/watch-schedules.ts'

// How long the reconciler's work on schedules takes, and its memory: `npm run bench:schedules [-- <environments>]`.
const [environments = 10_000] = process.argv.slice(2).map(Number)
const ZONES = ['Europe/Zurich', 'America/New_York', 'Africa/Cairo', 'Asia/Tokyo', 'UTC']

const services = await ensureTestServices(process.env)
process.env.COFFER_TEST_DATABASE_URL = services.databaseUrl
process.env.COFFER_TEST_REDIS_URL = services.redisUrl
let peakMiB = 0
const watch = setInterval(() => {
  peakMiB = Math.max(peakMiB, process.memoryUsage.rss() / 2 ** 20)
}, 20)

async function measure(title: string, work: () => Promise<unknown>): Promise<void> {
  peakMiB = process.memoryUsage.rss() / 2 ** 20
  const startedAt = performance.now()
  const result = await work()
  const seconds = (performance.now() - startedAt) / 1000
  const said = typeof result === 'number' ? ` (${result})` : ''
  process.stdout.write(`${title}: ${seconds.toFixed(2)} s, RSS at most ${peakMiB.toFixed(0)} MiB${said}\n`)
}

try {
  await using coffer = await startTestCoffer()
  const { catalog, queues, redis } = coffer
  const start = new Date()
  const nightly = { name: 'nightly', kind: 'daily', from: '01:00', until: '05:00' } as const
  const plan = await createPlan(
    catalog,
    { slug: 'bench', name: 'Bench', schedules: [nightly], retention: DEFAULT_POLICY },
    start,
  )
  await catalog.query(
    `WITH made AS (
       INSERT INTO environments (id, application_id, slug, plan_id, timezone, created_at)
       SELECT gen_random_uuid(), a.id, 'environment-' || n, $1, ($2::text[])[1 + n % 5], $3
         FROM applications a, generate_series(1, $4::int) n RETURNING id)
     INSERT INTO service_instances (id, environment_id, type, prefix, connection, created_at)
     SELECT gen_random_uuid(), id, 'DATABASE', 'DEFAULT', '', $3 FROM made`,
    [plan.uuid, ZONES, start, environments],
  )
  await measure(`a plan of ${environments} environments gets its schedules`, () =>
    catalog.transaction((tx) => syncSchedulesOfPlan(tx, plan.uuid, start)),
  )
  await catalog.query('ANALYZE')
  const context = { ...firingAt(coffer, start), queues }
  const reconcile = async () => {
    const fired = await fireDueSchedules(context)
    await watchSchedules(context)
    return fired
  }
  await measure('first reconcile: all bells are hung', reconcile)
  await measure('steady reconcile: all bells hang', reconcile)
  await redis.flushdb()
  await measure('reconcile after Redis was emptied', reconcile)
  process.stdout.write(
    `bells: ${await queues.tick.getJobSchedulersCount()} of ${(await listLiveSchedules(catalog)).length}\n`,
  )
  context.set(new Date(start.getTime() + 26 * 3_600_000))
  await measure('reconcile with everything due at once: as many backups', reconcile)
  context.set(new Date(start.getTime() + 50 * 3_600_000))
  await measure('a day later: all of them missed, and due again', reconcile)
} finally {
  clearInterval(watch)
  await services.stop()
}
