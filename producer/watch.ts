import { hostname } from 'node:os'
import { randomUUID } from 'node:crypto'
import { raiseAlert, resolveAlert } from '../shared/catalog/alerts.ts'
import type { Catalog } from '../shared/catalog/database.ts'
import { liveness } from '../shared/catalog/heartbeats.ts'
import { overdue, syncOverdueAlerts } from '../shared/catalog/overdue.ts'
import type { Clock } from '../shared/clock.ts'
import type { ProducerConfig } from '../shared/config.ts'
import { databasePolicy } from '../shared/egress/policy.ts'
import type { Logger } from '../shared/log.ts'
import { deliverDue } from '../shared/notify/deliver.ts'
import type { Outlets } from '../shared/notify/send.ts'
import { sendPing } from '../shared/notify/webhook.ts'
import { periodically, type Periodic } from '../shared/periodically.ts'

export interface WatchContext {
  catalog: Catalog
  config: ProducerConfig
  outlets: Outlets
  clock: Clock
  log: Logger
}

const WORKERS_DOWN = { kind: 'workers-down', subject: 'workers' } as const

/**
 * The dead man's check: does not need the workers, since it tells of their death. Environments that are overdue become alerts, workers
 * that show no life one of its own; what nobody has delivered for too long is delivered here. While all is well, and only then, the
 * operator's outside monitor gets its ping. Of several producers, one does it at a time.
 */
export function startWatch(context: WatchContext): Periodic {
  const { catalog, config, log } = context
  const stop = new AbortController()
  const startedAt = performance.now()
  const owner = `${hostname()} ${process.pid} producer ${randomUUID()}`
  const delivery = {
    catalog,
    outlets: context.outlets,
    log,
    owner,
    retrySeconds: config.COFFER_NOTIFY_RETRY_SECONDS,
    stop: stop.signal,
  }
  const watch = periodically('the watch', config.COFFER_WATCH_SECONDS, log, () =>
    catalog.exclusively('coffer watch', async () => {
      const { isWell, workersLive } = await look(context, (performance.now() - startedAt) / 1000)
      const delivered = await deliverDue(delivery, workersLive ? config.COFFER_WORKERS_DOWN_SECONDS : 0)
      if (delivered > 0) log.warn({ delivered }, 'the producer has delivered what no worker did')
      if (isWell) await pingMonitor(context)
    }),
  )
  return {
    async close() {
      stop.abort()
      await watch.close()
    },
  }
}

async function look(
  { catalog, config, clock }: WatchContext,
  upSeconds: number,
): Promise<{ isWell: boolean; workersLive: boolean }> {
  const now = clock()
  const limit = config.COFFER_WORKERS_DOWN_SECONDS
  const { lastSeen, workersSilentSeconds, reconcilerSilentSeconds } = await liveness(catalog, upSeconds)
  const workersLive = workersSilentSeconds < limit
  if (workersLive) await resolveAlert(catalog, WORKERS_DOWN, now)
  else {
    const seen = lastSeen === null ? 'none was ever seen' : `one was last seen at ${lastSeen.toISOString()}`
    const message = `no worker has shown life for ${limit} seconds, so no backup is taken; ${seen}`
    await raiseAlert(catalog, { ...WORKERS_DOWN, environmentId: null, message }, now)
  }
  await syncOverdueAlerts(catalog, now)
  const late = await overdue(catalog, { organisationId: null }, now)
  const hasLife = lastSeen !== null && workersLive && reconcilerSilentSeconds < limit
  return { isWell: hasLife && late.length === 0, workersLive }
}

/** When it fails, the monitor notices by itself: that is what it is for. */
async function pingMonitor({ config, clock, log }: WatchContext): Promise<void> {
  const { COFFER_HEARTBEAT_URL: url } = config
  if (url === undefined) return
  const event = { kind: 'backup.success', message: 'Coffer: workers live, nothing is overdue' }
  try {
    await sendPing(url, event, { policy: databasePolicy, now: clock() })
  } catch (error) {
    log.warn({ err: error }, 'the outside monitor (COFFER_HEARTBEAT_URL) could not be pinged')
  }
}
