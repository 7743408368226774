import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { z } from 'zod'
import { CofferError } from './errors.ts'
import { nextRing } from './schedules/bells.ts'

/** All of Coffer's queues that have work today. Redis is a doorbell: job data holds ids only, and all of it may be lost at any moment. */
export const QUEUE_NAMES = ['dump', 'media-archive', 'transfer', 'prune', 'restore', 'verify', 'tick'] as const
export type QueueName = (typeof QUEUE_NAMES)[number]

/** What a job says: which row, and which attempt of it this bell rings for; 0 where a row has no attempts. Everything else is read from the catalog. */
export interface JobData {
  id: string
  attempt: number
}

const MAX_ATTEMPT = 2 ** 31 - 1
const JobDataOf = z.object({ id: z.guid(), attempt: z.int().min(0).max(MAX_ATTEMPT) })

/** What a job says that lies in Redis, where anybody may have put it. null: nothing that we would have said. */
export const parseJobData = (data: unknown): JobData | null => JobDataOf.safeParse(data).data ?? null

export interface Bell {
  queue: QueueName
  /** `<row id>-<attempt>`: the same bell rung twice is one job. */
  jobId: string
  /** For people who read Bull Board: `live · shop · DEFAULT`. */
  name: string
  data: JobData
  delayMs: number
}

export interface Queues {
  /** Puts the job on its queue unless it waits or runs there already. Rejects within the deadline also when Redis hangs. */
  ring(bell: Bell): Promise<void>
  readonly all: readonly Queue[]
  /** Whether Redis can be asked now. BullMQ waits without end for one that never answered. */
  isReachable(): boolean
  /** The queue that the bells of schedules lie in. */
  readonly tick: Queue<JobData>
  close(): Promise<void>
}

const RING_DEADLINE_MS = 2_000
/** How long ended jobs stay to be looked at, in seconds and jobs. */
export const KEEP_JOBS = {
  removeOnComplete: { age: 86_400, count: 1_000 },
  removeOnFail: { age: 14 * 86_400, count: 5_000 },
}

/** How BullMQ finds the next ring of a schedule's bell: as the catalog finds its next due time. */
export const RING_SETTINGS = { settings: { repeatStrategy: nextRing } }

/** For those who enqueue: fails fast instead of waiting for a Redis that is away. */
export function openQueues(redisUrl: string, onError: (error: Error) => void): Queues {
  const connection = new Redis(redisUrl, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    connectTimeout: RING_DEADLINE_MS,
    commandTimeout: RING_DEADLINE_MS,
    retryStrategy: (tries) => Math.min(tries * 200, 2_000),
  })
  connection.on('error', onError)
  const open = (name: QueueName) => new Queue<JobData>(name, { connection, skipVersionCheck: true, ...RING_SETTINGS })
  const tick = open('tick')
  const queues = new Map(QUEUE_NAMES.map((name) => [name, name === 'tick' ? tick : open(name)]))
  for (const queue of queues.values()) queue.on('error', onError)
  return {
    ring: (bell) => withDeadline(ring(queues.get(bell.queue), bell), bell),
    all: [...queues.values()],
    isReachable: () => connection.status === 'ready',
    tick,
    async close() {
      await Promise.allSettled([...queues.values()].map((queue) => queue.close()))
      connection.disconnect()
    },
  }
}

async function ring(queue: Queue<JobData> | undefined, { jobId, name, data, delayMs }: Bell): Promise<void> {
  if (!queue) throw new CofferError('INTERNAL', `no such queue for job ${jobId}`)
  // A finished job that is still kept would swallow the new one of the same id in silence.
  const kept = await queue.getJob(jobId)
  const state = kept ? await kept.getState() : 'unknown'
  if (kept && (state === 'completed' || state === 'failed')) await kept.remove()
  if (kept && state === 'delayed' && delayMs === 0) await kept.promote()
  await queue.add(name, data, { ...KEEP_JOBS, attempts: 1, jobId, delay: delayMs })
}

async function withDeadline(work: Promise<void>, bell: Bell): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(
        new CofferError(
          'SERVICE_UNAVAILABLE',
          `Redis did not take job ${bell.jobId} of ${bell.queue} in ${RING_DEADLINE_MS} ms`,
        ),
      )
    }, RING_DEADLINE_MS)
  })
  try {
    await Promise.race([work, deadline])
  } finally {
    clearTimeout(timer)
    work.catch(() => undefined)
  }
}
