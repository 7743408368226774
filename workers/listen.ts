import { Worker, type Processor } from 'bullmq'
import { Redis } from 'ioredis'
import { KEEP_JOBS, RING_SETTINGS, parseJobData, type JobData, type QueueName } from '../shared/queues.ts'
import { takeDump } from './dump/take-dump.ts'
import { takeArchive } from './media-archive/take-archive.ts'
import { processPrune } from './prune/process-prune.ts'
import { processRestore } from './restore/process-restore.ts'
import { processUpload } from './transfer/process-upload.ts'
import { processVerify } from './verify/process-verify.ts'
import { withoutRepeats } from '../shared/without-repeats.ts'
import { processTick } from './tick/fire-schedules.ts'
import { processRun, type BellJob, type Take, type WorkerContext } from './run-processor.ts'

type Process = (context: WorkerContext, job: BellJob) => Promise<string>

/** By what the run is of, and not by the queue that its bell was in. */
const take: Take = (given) => (given.run.serviceInstance.type === 'DATABASE' ? takeDump : takeArchive)(given)

const PROCESSORS: Record<QueueName, Process> = {
  dump: (context, job) => processRun(context, take, job),
  'media-archive': (context, job) => processRun(context, take, job),
  prune: processPrune,
  restore: processRestore,
  verify: processVerify,
  tick: processTick,
  transfer: processUpload,
}

export interface Listeners {
  /** Resolves when all of them listen. Waits for Redis as long as it takes. */
  readonly ready: Promise<void>
  /** Takes no more jobs, and waits for those under way. */
  close(): Promise<void>
}

/** Answers the bells of every queue. */
export function listen(context: WorkerContext): Listeners {
  const connection = new Redis(context.config.COFFER_REDIS_URL, { maxRetriesPerRequest: null })
  const warn = withoutRepeats(
    (error: Error) => context.log.warn({ err: error }, 'Redis'),
    () => context.clock().getTime(),
  )
  connection.on('error', warn)
  const workers = Object.entries(PROCESSORS).map(([queue, process]) => {
    const worker = listenTo(context, connection, queue, process)
    return worker.on('error', warn)
  })
  let isReady = false
  const ready = Promise.all(workers.map((worker) => worker.waitUntilReady())).then(() => {
    isReady = true
  })
  return {
    ready,
    async close() {
      // One that has never heard a bell has no jobs to wait for, and would wait for Redis.
      await Promise.all(workers.map((worker) => worker.close(!isReady)))
      connection.disconnect()
    },
  }
}

function listenTo(context: WorkerContext, connection: Redis, queue: string, process: Process): Worker<JobData> {
  // BullMQ's own signal is not asked for: a lock lost with Redis ends no run. The lease in the catalog decides.
  const processor: Processor<JobData> = async (job) => {
    const data = parseJobData(job.data)
    return data === null ? 'nothing to do: it names no row' : process(context, { data, attemptsMade: job.attemptsMade })
  }
  const worker = new Worker<JobData>(queue, processor, {
    connection,
    // One at a time of each worker: whoever verifies must not take what backups and restores need.
    concurrency: queue === 'verify' ? 1 : context.config.COFFER_WORKER_CONCURRENCY,
    lockDuration: 120_000,
    lockRenewTime: 20_000,
    stalledInterval: 60_000,
    maxStalledCount: 2,
    ...KEEP_JOBS,
    ...RING_SETTINGS,
  })
  worker.on('failed', (job, error) => context.log.warn({ queue, job: job?.id, err: error }, 'a job failed'))
  return worker
}
