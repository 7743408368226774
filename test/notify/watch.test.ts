import { expect, test } from 'vitest'
import { startProducer } from '../../producer/start.ts'
import { loadProducerConfig } from '../../shared/config.ts'
import { openLog } from '../../shared/log.ts'
import { systemClock } from '../../shared/clock.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { startHttpReceiver } from '../support/http-receiver.ts'
import { addPlanned, openAlerts } from '../support/schedules.ts'
import { addSink, SINK_ENV } from '../support/sinks.ts'
import { until } from '../support/until.ts'

async function producerOf(coffer: TestCoffer, env: Record<string, string>) {
  const config = loadProducerConfig({
    ...coffer.env,
    ...SINK_ENV,
    HOST: '127.0.0.1',
    PORT: '0',
    COFFER_WATCH_SECONDS: '0.2',
    ...env,
  })
  const producer = await startProducer(config, openLog('producer', 'silent'), systemClock)
  return { ...producer, [Symbol.asyncDispose]: () => producer.close() }
}

const kindOf = ({ body }: { body: string }) => (JSON.parse(body) as { kind: string }).kind

test('with all workers killed, the producer tells that they are down and who is overdue, once each, and the outside monitor hears nothing', async () => {
  await using web = await startHttpReceiver()
  await using monitor = await startHttpReceiver()
  await using coffer = await startTestCoffer({ env: SINK_ENV })
  await addSink(coffer, { url: web.url })
  const worker = await coffer.worker()
  await using producer = await producerOf(coffer, {
    COFFER_WORKERS_DOWN_SECONDS: '3',
    COFFER_HEARTBEAT_URL: `${monitor.url}/coffer`,
  })
  await monitor.count(2)
  expect(await (await fetch(`${producer.url}/healthz`)).json()).toEqual({ status: 'ok' })
  expect(monitor.received[0]).toMatchObject({ method: 'POST', path: '/coffer' })
  expect(await openAlerts(coffer)).toEqual([])

  worker.kill('SIGKILL')
  await worker.ended
  await addPlanned(coffer, {
    rules: [{ name: 'nightly', kind: 'cron', cron: '30 2 * * *' }],
    timezone: 'UTC',
    now: new Date(Date.now() - 3 * 86_400_000),
  })
  await web.count(2)
  expect(web.received.map(kindOf).sort()).toEqual(['overdue.raised', 'workers-down.raised'])
  const pings = monitor.received.length
  // Between two of these, the watch has looked once from beginning to end, and would have told again, or pinged.
  for (let look = 0; look < 2; look++) await nextLook(coffer)
  const told = web.received.filter(({ body }) => !body.includes(MARK))
  expect([told.length, monitor.received.length]).toEqual([2, pings])

  await coffer.worker()
  await until(() => Promise.resolve(web.received.map(kindOf).includes('workers-down.resolved')))
})

test('what workers that live have not delivered for too long, without Redis for example, the producer delivers', async () => {
  await using web = await startHttpReceiver()
  await using coffer = await startTestCoffer({ env: SINK_ENV })
  await addSink(coffer, { url: web.url })
  await coffer.catalog.query(
    `INSERT INTO workers (owner, last_seen, last_reconciled_at) VALUES ('w', now() + interval '1 hour', now() + interval '1 hour')`,
  )
  await coffer.catalog.query(
    `INSERT INTO alerts (kind, subject, environment_id, message, raised_at) VALUES ('lost', 'x', $1, 'm', now())`,
    [coffer.environmentId],
  )
  await using producer = await producerOf(coffer, {
    COFFER_REDIS_URL: 'redis://127.0.0.1:1',
    COFFER_WORKERS_DOWN_SECONDS: '1',
  })
  await web.count(1)
  expect(web.received.map(kindOf)).toEqual(['lost.raised'])
  expect((await fetch(`${producer.url}/healthz`)).status).toBe(200)
  expect(await openAlerts(coffer)).toEqual(['lost'])
})

const MARK = 'of no environment'

/** Resolves when the watch looks: it resolves overdue alerts of environments that are not overdue. */
async function nextLook({ catalog }: TestCoffer): Promise<void> {
  const [mark] = await catalog.query<{ id: string }>(
    `INSERT INTO alerts (kind, subject, environment_id, message, raised_at) VALUES ('overdue', gen_random_uuid()::text, NULL, $1, now()) RETURNING id`,
    [MARK],
  )
  await until(async () => {
    const rows = await catalog.query('SELECT 1 FROM alerts WHERE id = $1 AND resolved_at IS NOT NULL', [mark?.id])
    return rows.length > 0
  })
}
