import { listOpenAlerts } from '../../shared/catalog/alerts.ts'
import { overdue } from '../../shared/catalog/overdue.ts'
import type { Queues } from '../../shared/queues.ts'
import { route } from '../define-route.ts'
import { inTime } from '../health.ts'
import type { Producer } from '../producer.ts'
import { Status } from '../replies/status.ts'
import type { Route } from '../routes.ts'

const MAX_ROWS = 1000

/** What needs a person's attention. */
export function statusRoutes({ catalog, queues, log }: Producer): Route[] {
  return [
    route({
      method: 'GET',
      path: '/apps/v3/status/',
      role: 'viewer',
      summary: "Shows what needs a person's attention.",
      reply: Status,
      async handle({ actor: { scope }, now }) {
        const late = await overdue(catalog, scope, now)
        const alerts = await listOpenAlerts(catalog, scope, MAX_ROWS)
        const counts = await countJobs(queues).catch((error: unknown) => {
          log.warn({ err: error }, 'the queues were not counted')
          return null
        })
        return {
          overdue: { count: late.length, results: late.slice(0, MAX_ROWS) },
          alerts: { count: alerts.count, results: alerts.rows },
          queues: counts,
        }
      },
    }),
  ]
}

/** By the name of each queue: how many jobs wait, run and have failed. */
async function countJobs({ all }: Queues): Promise<Record<string, Record<string, number>>> {
  const counted = all.map(
    async (queue) => [queue.name, await inTime(queue.getJobCounts('waiting', 'active', 'delayed', 'failed'))] as const,
  )
  return Object.fromEntries(await Promise.all(counted))
}
