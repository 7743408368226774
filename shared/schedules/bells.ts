import type { Queue, RepeatOptions } from 'bullmq'
import type { LiveSchedule } from '../catalog/schedules.ts'
import { CofferError } from '../errors.ts'
import type { JobData } from '../queues.ts'
import { nextDue, timetableOf } from './due-times.ts'

const PAGE = 500
/** A bell whose next ring lies so far in the past has stopped. */
const STOPPED_MS = 60_000
/** How long jobs that rang stay to be looked at. */
const KEPT = { removeOnComplete: { age: 86_400, count: 1_000 }, removeOnFail: { age: 86_400, count: 1_000 } }

/** When a bell rings next, in ms since 1970; undefined: never, or nobody knows, and only the reconciler fires the schedule. */
export function nextRing(after: number, { pattern, tz }: RepeatOptions): number | undefined {
  if (pattern === undefined || tz === undefined) return undefined
  try {
    return nextDue({ pattern, timezone: tz }, new Date(after))?.getTime()
  } catch {
    return undefined
  }
}

/** One repeatable job for each live schedule, under its id. */
interface Bell {
  id: string
  title: string
  pattern: string
  timezone: string
}

export interface BellChanges {
  rehung: number
  removed: number
  failures: unknown[]
}

/** Makes the repeatable jobs on the queue those of these schedules. A bell that can't be hung doesn't stop the others. */
export async function hangBells(queue: Queue<JobData>, schedules: readonly LiveSchedule[]): Promise<BellChanges> {
  const wanted = new Map(schedules.map((schedule) => [schedule.id, bellOf(schedule)]))
  const stale: string[] = []
  const stoppedBefore = Date.now() - STOPPED_MS
  const hanging = await queue.getJobSchedulersCount()
  for (let start = 0; start < hanging; start += PAGE)
    for (const { key, name, pattern, tz, next } of await queue.getJobSchedulers(start, start + PAGE - 1)) {
      const bell = wanted.get(key)
      if (!bell) stale.push(key)
      else if (name === bell.title && pattern === bell.pattern && tz === bell.timezone && (next ?? 0) > stoppedBefore)
        wanted.delete(key)
    }
  const failures = [
    ...(await inPages([...wanted.values()], (bell) => hang(queue, bell))),
    ...(await inPages(stale, (id) => queue.removeJobScheduler(id))),
  ]
  return { rehung: wanted.size, removed: stale.length, failures }
}

function bellOf({ id, title, rule, environment }: LiveSchedule): Bell {
  return { id, title, ...timetableOf(rule, environment) }
}

async function hang(queue: Queue<JobData>, { id, title, pattern, timezone }: Bell): Promise<void> {
  // Its type says otherwise, but without a next ring there is no job.
  const job: unknown = await queue.upsertJobScheduler(
    id,
    { pattern, tz: timezone },
    { name: title, data: { id, attempt: 0 }, opts: { ...KEPT, attempts: 1 } },
  )
  if (job === undefined)
    throw new CofferError('INTERNAL', `nobody knows when ${title} is next due by ${pattern} in ${timezone}`)
}

/** So many commands at a time that Redis answers each within its deadline. @returns what failed */
async function inPages<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<unknown[]> {
  const failures: unknown[] = []
  for (let start = 0; start < items.length; start += PAGE) {
    const results = await Promise.allSettled(items.slice(start, start + PAGE).map(work))
    failures.push(...results.filter((result) => result.status === 'rejected').map((result) => result.reason as unknown))
  }
  return failures
}
