import type { RequestHandler } from 'express'
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'
import { readMetrics, type CatalogMetrics } from '../shared/catalog/metrics.ts'
import type { Queues } from '../shared/queues.ts'
import { actorOf, requireWholeInstallation } from './auth.ts'
import { inTime } from './health.ts'
import type { Producer } from './producer.ts'

export const METRICS_PATH = '/metrics'

const JOB_STATES = ['waiting', 'active', 'delayed', 'failed'] as const

/** Of this process: its event loop, memory and handles. Once a process, since it starts timers. */
const ofProcess = new Registry()
collectDefaultMetrics({ register: ofProcess })

/**
 * Prometheus' text format. All but the process' own comes from the catalog and Redis at the time of the scrape, so that one producer
 * tells of any number of workers, and a number is right also after a restart.
 */
export function metricsHandler({
  catalog,
  clock,
  queues,
  log,
  settings: { workersDownSeconds },
}: Producer): RequestHandler {
  return async (request, response) => {
    requireWholeInstallation(actorOf(request), 'the metrics')
    const ofCatalog = describeCatalog(await readMetrics(catalog, { now: clock(), workersDownSeconds }))
    const ofQueues = await describeQueues(queues).catch((error: unknown) => {
      log.warn({ err: error }, 'the queues were not counted')
      return null
    })
    const reachable = new Registry()
    gauge(reachable, 'coffer_redis_up', 'Whether Redis answered this scrape.').set(ofQueues === null ? 0 : 1)
    const parts = [ofCatalog, reachable, ...(ofQueues ? [ofQueues] : []), ofProcess]
    const texts = await Promise.all(parts.map((part) => part.metrics()))
    response.type(Registry.PROMETHEUS_CONTENT_TYPE).send(texts.join('\n'))
  }
}

function gauge<Label extends string = never>(
  register: Registry,
  name: string,
  help: string,
  labelNames: readonly Label[] = [],
): Gauge<Label> {
  return new Gauge({ name, help, labelNames, registers: [register] })
}

function counter<Label extends string = never>(
  register: Registry,
  name: string,
  help: string,
  labelNames: readonly Label[] = [],
): Counter<Label> {
  return new Counter({ name, help, labelNames, registers: [register] })
}

const ENVIRONMENT = ['application', 'environment'] as const
const INSTANCE = [...ENVIRONMENT, 'prefix', 'type'] as const

function describeCatalog(metrics: CatalogMetrics): Registry {
  const register = new Registry()
  describeInstances(register, metrics)
  describeRuns(register, metrics)
  describeEnvironments(register, metrics)
  describeVerifications(register, metrics)
  describeWorkers(register, metrics)
  return register
}

function describeInstances(register: Registry, { instances }: CatalogMetrics): void {
  const lastGood = gauge(
    register,
    'coffer_last_good_backup_timestamp_seconds',
    'When the newest good backup was due or asked for; 0 when there is none.',
    INSTANCE,
  )
  const duration = gauge(register, 'coffer_last_good_backup_duration_seconds', 'How long it took.', INSTANCE)
  const plain = gauge(register, 'coffer_last_good_backup_plain_bytes', 'Its size before compression.', INSTANCE)
  const stored = gauge(register, 'coffer_last_good_backup_stored_bytes', 'Its size in the store.', INSTANCE)
  for (const { last_good_at, duration_seconds, plain_bytes, stored_bytes, ...labels } of instances) {
    lastGood.set(labels, seconds(last_good_at))
    if (duration_seconds !== null) duration.set(labels, duration_seconds)
    if (plain_bytes !== null) plain.set(labels, plain_bytes)
    if (stored_bytes !== null) stored.set(labels, stored_bytes)
  }
}

function describeRuns(register: Registry, metrics: CatalogMetrics): void {
  const ended = counter(register, 'coffer_backups_ended_total', 'Ended service-instance backups.', ['type', 'success'])
  for (const { count, ...labels } of metrics.outcomes) ended.inc(labels, count)
  const failures = counter(register, 'coffer_run_failures_total', 'Failed attempts, by failure code.', ['code'])
  for (const { code, count } of metrics.failures) failures.inc({ code }, count)
  counter(register, 'coffer_backups_deleted_total', 'Deleted service-instance backups.').inc(metrics.deleted)
  const read = counter(register, 'coffer_pipeline_plain_bytes_total', 'Bytes read from sources by sealed runs.', [
    'type',
  ])
  const stored = counter(register, 'coffer_pipeline_stored_bytes_total', 'Bytes they stored.', ['type'])
  const took = counter(register, 'coffer_pipeline_seconds_total', 'Seconds they took.', ['type'])
  for (const { type, plain_bytes, stored_bytes, seconds: took_seconds } of metrics.moved) {
    read.inc({ type }, plain_bytes)
    stored.inc({ type }, stored_bytes)
    took.inc({ type }, took_seconds)
  }
  const { waiting, wait_p50_seconds, wait_p95_seconds } = metrics
  gauge(register, 'coffer_waiting_backups', 'Backups that could begin and wait for a worker.').set(waiting.count)
  gauge(register, 'coffer_longest_wait_seconds', 'How long the first of them has waited.').set(waiting.longest_seconds)
  const waited = gauge(register, 'coffer_wait_seconds', 'How long backups waited that began within the last hour.', [
    'quantile',
  ])
  if (wait_p50_seconds !== null) waited.set({ quantile: '0.5' }, wait_p50_seconds)
  if (wait_p95_seconds !== null) waited.set({ quantile: '0.95' }, wait_p95_seconds)
}

function describeEnvironments(register: Registry, metrics: CatalogMetrics): void {
  const late = gauge(
    register,
    'coffer_overdue',
    '1 for an environment that lacks an expected good backup.',
    ENVIRONMENT,
  )
  for (const labels of metrics.overdue) late.set(labels, 1)
  gauge(register, 'coffer_overdue_environments', 'How many environments are overdue.').set(metrics.overdue.length)
  const stopped = gauge(register, 'coffer_pruning_stopped', '1 where a guard has stopped pruning.', ENVIRONMENT)
  const pruned = gauge(
    register,
    'coffer_last_prune_timestamp_seconds',
    'When a prune last went through; 0: never.',
    ENVIRONMENT,
  )
  for (const { pruning_stopped, last_pruned_at, ...labels } of metrics.environments) {
    stopped.set(labels, pruning_stopped ? 1 : 0)
    pruned.set(labels, seconds(last_pruned_at))
  }
  const alerts = gauge(register, 'coffer_open_alerts', 'Open alerts.', ['kind'])
  for (const { kind, count } of metrics.alerts) alerts.set({ kind }, count)
}

function describeVerifications(register: Registry, { verifications, drills }: CatalogMetrics): void {
  const ended = counter(register, 'coffer_verifications_total', 'Ended verifications.', ['level', 'outcome'])
  for (const { count, ...labels } of verifications) ended.inc(labels, count)
  const proven = gauge(
    register,
    'coffer_last_passed_drill_timestamp_seconds',
    'When a backup was last restored into a throw-away target and found equal.',
    INSTANCE,
  )
  for (const { passed_at, ...labels } of drills) proven.set(labels, seconds(passed_at))
}

function describeWorkers(register: Registry, { workers }: CatalogMetrics): void {
  gauge(register, 'coffer_workers', 'Workers that live.').set(workers.length)
  const lag = gauge(register, 'coffer_worker_eventloop_lag_p99_seconds', 'Of each worker, since it last told.', [
    'worker',
  ])
  for (const { owner, eventLoopP99Seconds } of workers)
    if (eventLoopP99Seconds !== null) lag.set({ worker: owner.split(' ').slice(0, 2).join(':') }, eventLoopP99Seconds)
}

async function describeQueues({ all }: Queues): Promise<Registry> {
  const register = new Registry()
  const jobs = gauge(register, 'coffer_queue_jobs', 'Jobs of a queue, by state.', ['queue', 'state'])
  const counted = all.map(async (queue) => [queue.name, await inTime(queue.getJobCounts(...JOB_STATES))] as const)
  for (const [queue, counts] of await Promise.all(counted))
    for (const state of JOB_STATES) jobs.set({ queue, state }, counts[state] ?? 0)
  return register
}

const seconds = (date: Date | null): number => (date === null ? 0 : date.getTime() / 1000)
