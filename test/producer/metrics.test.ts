import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { recordBeat } from '../../shared/catalog/heartbeats.ts'
import { until } from '../support/until.ts'
import { startTestProducer, type TestProducer } from '../support/producer.ts'
import { expectProblem } from './problems.ts'

interface Seeded {
  environment: string
  database: string
}

async function seed(producer: TestProducer): Promise<Seeded> {
  const post = async (resource: string, body: unknown) =>
    (await producer.ask('POST', `/apps/v3/${resource}/`, { body })).body.uuid
  const application = await post('applications', { slug: 'shop' })
  // Nothing is due but what the test makes: the producer's schedules follow the test's clock.
  const plan = await post('plans', { slug: 'by-hand', name: 'By hand', schedules: [], expected_within_hours: 26 })
  const environment = await post('environments', { application, slug: 'live', plan })
  const connection = { url: 'postgres://u:p@127.0.0.1/shop' }
  return { environment, database: await post('service-instances', { environment, type: 'DATABASE', connection }) }
}

/** A backup as a worker would have left it. */
async function ended(
  { catalog }: TestProducer,
  { environment, database }: Seeded,
  success: 'SUCCESS' | 'FAILURE',
  { dueAt, errors = [] }: { dueAt: string; errors?: { code: string }[] },
): Promise<void> {
  const id = randomUUID()
  await catalog.query(
    `INSERT INTO backups (id, environment_id, state, success, trigger, policy_class, bucket_date, created_at, ended_at)
     VALUES ($1, $2, 'COMPLETED', $3, 'MANUAL', 'on_demand', '2026-03-01', $4, $4)`,
    [id, environment, success, dueAt],
  )
  await catalog.query(
    `INSERT INTO service_instance_backups (id, backup_id, service_instance_id, state, success, attempt, tries_left, queued_at,
            started_at, ended_at, plain_size, stored_size, errors)
     VALUES (gen_random_uuid(), $1, $2, 'COMPLETED', $3, 1, 0, $4, $4, $4::timestamptz + interval '20 seconds', 5000, 1000, $5)`,
    [id, database, success, dueAt, JSON.stringify(errors)],
  )
}

test('the metrics tell the newest good backup, outcomes, failures by code, bytes moved and waits, from the catalog alone', async () => {
  let now = new Date('2026-03-01T00:00:00Z')
  await using producer = await startTestProducer({ clock: () => now })
  const seeded = await seed(producer)
  await ended(producer, seeded, 'SUCCESS', { dueAt: '2026-03-01T02:00:00Z' })
  await ended(producer, seeded, 'SUCCESS', { dueAt: '2026-03-02T02:00:00Z' })
  await ended(producer, seeded, 'FAILURE', {
    dueAt: '2026-03-03T02:00:00Z',
    errors: [{ code: 'DUMP_FAILED' }, { code: 'DUMP_FAILED' }, { code: 'SOURCE_LOCKED' }],
  })
  await producer.ask('POST', '/apps/v3/backups/', { body: { environment: seeded.environment } })
  await producer.catalog.query(
    `INSERT INTO verifications (id, environment_id, service_instance_id, service_instance_backup_id, level, trigger, state, outcome,
            queued_at, ended_at)
     SELECT gen_random_uuid(), $1, $2, id, 'drill', 'SCHEDULED', 'COMPLETED', 'passed', $3, $3
       FROM service_instance_backups WHERE success = 'SUCCESS' LIMIT 1`,
    [seeded.environment, seeded.database, '2026-03-02T05:00:00Z'],
  )
  await recordBeat(producer.catalog, 'host 7 x', { postgresMajors: [15], eventLoopP99Seconds: 0.25 })
  now = new Date('2026-03-05T12:00:00Z')
  // The job is put on the queue after the request for the backup is answered.
  const queued = 'coffer_queue_jobs{queue="dump",state="waiting"} 1'
  const text = await until(async () => {
    const answer = await producer.ask('GET', '/metrics')
    return answer.text.includes(queued) && answer.text
  })
  const labels = 'application="shop",environment="live",prefix="DEFAULT",type="DATABASE"'
  const shown = new Set(text.split('\n'))
  const expected = [
    `coffer_last_good_backup_timestamp_seconds{${labels}} ${Date.parse('2026-03-02T02:00:00Z') / 1000}`,
    `coffer_last_good_backup_duration_seconds{${labels}} 20`,
    `coffer_last_good_backup_plain_bytes{${labels}} 5000`,
    `coffer_last_good_backup_stored_bytes{${labels}} 1000`,
    'coffer_backups_ended_total{type="DATABASE",success="SUCCESS"} 2',
    'coffer_backups_ended_total{type="DATABASE",success="FAILURE"} 1',
    'coffer_run_failures_total{code="DUMP_FAILED"} 2',
    'coffer_run_failures_total{code="SOURCE_LOCKED"} 1',
    'coffer_pipeline_plain_bytes_total{type="DATABASE"} 10000',
    'coffer_pipeline_seconds_total{type="DATABASE"} 40',
    'coffer_waiting_backups 1',
    'coffer_overdue_environments 1',
    'coffer_overdue{application="shop",environment="live"} 1',
    'coffer_redis_up 1',
    'coffer_verifications_total{level="drill",outcome="passed"} 1',
    `coffer_last_passed_drill_timestamp_seconds{${labels}} ${Date.parse('2026-03-02T05:00:00Z') / 1000}`,
    'coffer_workers 1',
    'coffer_worker_eventloop_lag_p99_seconds{worker="host:7"} 0.25',
    queued,
  ]
  expect(expected.filter((line) => !shown.has(line))).toEqual([])
  expect(text).toMatch(/^nodejs_eventloop_lag_p99_seconds \d/m)
})

test('without Redis the metrics say so and tell the rest', async () => {
  await using producer = await startTestProducer({ env: { COFFER_REDIS_URL: 'redis://127.0.0.1:1' } })
  const { text, status } = await producer.ask('GET', '/metrics')
  expect(status).toBe(200)
  expect(text).toContain('coffer_redis_up 0')
  expect(text).toContain('coffer_overdue_environments 0')
  expect(text).not.toContain('coffer_queue_jobs{')
})

test('metrics are for tokens of the whole installation', async () => {
  await using producer = await startTestProducer()
  const organisation = (await producer.ask('GET', '/iam/v3/me/')).body['organisation']
  expect(organisation).toBeNull()
  const [{ id } = { id: '' }] = await producer.catalog.query<{ id: string }>('SELECT id FROM organisations')
  expectProblem(await producer.ask('GET', '/metrics', { token: null }), 401, 'UNAUTHENTICATED')
  expectProblem(
    await producer.ask('GET', '/metrics', { token: await producer.createToken('admin', id) }),
    403,
    'FORBIDDEN',
  )
  expect((await producer.ask('GET', '/metrics', { token: await producer.createToken('viewer') })).status).toBe(200)
})

test('readiness says when no worker that lives has a client for the databases to back up', async () => {
  await using producer = await startTestProducer()
  await seed(producer)
  const ofClients = async () => {
    const { body } = await producer.ask('GET', '/readyz', { token: null })
    return (body['checks'] as { name: string; ok: boolean; reason: string | null }[]).find(
      ({ name }) => name === 'clients',
    )
  }
  expect(await ofClients()).toMatchObject({ ok: true })
  await recordBeat(producer.catalog, 'bare', { postgresMajors: [], eventLoopP99Seconds: null })
  expect(await ofClients()).toMatchObject({
    ok: false,
    reason: expect.stringContaining('no worker has pg_dump') as string,
  })
  await recordBeat(producer.catalog, 'equipped', { postgresMajors: [15], eventLoopP99Seconds: null })
  expect(await ofClients()).toMatchObject({ ok: true })
})
