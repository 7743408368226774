import { Worker, type Processor } from 'bullmq'
import { Redis } from 'ioredis'
import { KEEP_JOBS, RING_SETTINGS, parseJobData, type JobData, type QueueName } from '../shared/queues.ts'
import { processNotify } from './notify/process-notify.ts'
import { processPrune } from './prune/process-prune.ts'
import { processRestore } from './restore/process-restore.ts'
import { processUpload } from './transfer/process-upload.ts'
import { processVerify } from './verify/process-verify.ts'
import { withoutRepeats } from '../shared/without-repeats.ts'
import { processTick } from './tick/fire-schedules.ts'
import { processRun, type BellJob, type WorkerContext } from './run-processor.ts'
import { takeWhatIsDue } from './take.ts'

const SINKS_AT_ONCE = 16

type Process = (context: WorkerContext, job: BellJob) => Promise<string>

const processBackup: Process = (context, job) => processRun(context, takeWhatIsDue(context), job)

const PROCESSORS: Record<QueueName, Process> = {
  dump: processBackup,
  'media-archive': processBackup,
  prune: processPrune,
  restore: processRestore,
  verify: processVerify,
  tick: processTick,
  transfer: processUpload,
  notify: processNotify,
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

/** Whoever verifies must not take what backups and restores need. Sinks that hang hold their place for ten seconds; others must not wait for it. */
function concurrencyOf(queue: string, { config }: WorkerContext): number {
  if (queue === 'verify') return 1
  return queue === 'notify' ? SINKS_AT_ONCE : config.COFFER_WORKER_CONCURRENCY
}

function listenTo(context: WorkerContext, connection: Redis, queue: string, process: Process): Worker<JobData> {
  // BullMQ's own signal is not asked for: a lock lost with Redis ends no run. The lease in the catalog decides.
  const processor: Processor<JobData> = async (job) => {
    const data = parseJobData(job.data)
    return data === null ? 'nothing to do: it names no row' : process(context, { data, attemptsMade: job.attemptsMade })
  }
  const worker = new Worker<JobData>(queue, processor, {
    connection,
    concurrency: concurrencyOf(queue, context),
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
