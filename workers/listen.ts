import { Worker, type Processor } from 'bullmq'
import { Redis } from 'ioredis'
import { KEEP_JOBS, RING_SETTINGS, type JobData, type QueueName } from '../shared/queues.ts'
import { takeDump } from './dump/take-dump.ts'
import { takeArchive } from './media-archive/take-archive.ts'
import { processPrune } from './prune/process-prune.ts'
import { processRestore } from './restore/process-restore.ts'
import { processTick } from './tick/fire-schedules.ts'
import { processRun, type BellJob, type WorkerContext } from './run-processor.ts'

type Process = (context: WorkerContext, job: BellJob) => Promise<string>

const PROCESSORS: Record<QueueName, Process> = {
  dump: (context, job) => processRun(context, takeDump, job),
  'media-archive': (context, job) => processRun(context, takeArchive, job),
  prune: processPrune,
  restore: processRestore,
  tick: processTick,
}

export interface Listeners {
  /** Takes no more jobs, and waits for those under way, as long as the operator allows. */
  close(): Promise<void>
}

/** Answers the bells of every queue. */
export async function listen(context: WorkerContext): Promise<Listeners> {
  const connection = new Redis(context.config.COFFER_REDIS_URL, { maxRetriesPerRequest: null })
  connection.on('error', (error: Error) => context.log.warn({ err: error }, 'Redis'))
  const workers = Object.entries(PROCESSORS).map(([queue, process]) => listenTo(context, connection, queue, process))
  await Promise.all(workers.map((worker) => worker.waitUntilReady()))
  return {
    async close() {
      const grace = context.config.COFFER_STOP_SECONDS * 1000
      const closed = Promise.all(workers.map((worker) => worker.close()))
      await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, grace).unref())])
      connection.disconnect()
    },
  }
}

function listenTo(context: WorkerContext, connection: Redis, queue: string, process: Process): Worker<JobData> {
  // BullMQ's own signal is not asked for: a lock lost with Redis ends no run. The lease in the catalog decides.
  const processor: Processor<JobData> = (job) => process(context, { data: job.data, attemptsMade: job.attemptsMade })
  const worker = new Worker<JobData>(queue, processor, {
    connection,
    concurrency: context.config.COFFER_WORKER_CONCURRENCY,
    lockDuration: 120_000,
    lockRenewTime: 20_000,
    stalledInterval: 60_000,
    maxStalledCount: 2,
    ...KEEP_JOBS,
    ...RING_SETTINGS,
  })
  worker.on('error', (error) => context.log.warn({ queue, err: error }, 'the queue reports an error'))
  worker.on('failed', (job, error) => context.log.warn({ queue, job: job?.id, err: error }, 'a job failed'))
  return worker
}
