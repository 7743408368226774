import type { Catalog } from '../catalog/database.ts'
import {
  dueSinks,
  hasDue,
  leaveSink,
  nextDelivery,
  recordDelivered,
  recordFailed,
  ringSinksDue,
  takeSink,
  type Delivery,
} from '../catalog/notification-deliveries.ts'
import type { SinkToSend } from '../catalog/notification-sinks.ts'
import { backoffSeconds } from '../domain/backoff.ts'
import { toCofferError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { scrub } from '../scrub.ts'
import { reached } from '../steps.ts'
import { isAway, sendTo, type Outlets } from './send.ts'

export interface DeliveryContext {
  catalog: Catalog
  outlets: Outlets
  log: Logger
  /** Names this process. */
  owner: string
  /** The pause after the first failure. */
  retrySeconds: number
  /** Nothing more is begun when it aborts. */
  stop: AbortSignal
}

const GIVE_UP_MS = 3 * 86_400_000
/** A sink that takes long for each gives way to others after this. */
const TURN_MS = 20_000
const SINKS_AT_ONCE = 8

/**
 * Sends all that is due for one sink, one after the other, and rings again for what its turn was too short for. Whoever finds that
 * another process sends to it leaves it to that one, which looks once more when it is done.
 * @returns how many were delivered
 */
export async function deliverTo(context: DeliveryContext, sinkId: string): Promise<number> {
  const { catalog, owner } = context
  const endAt = performance.now() + TURN_MS
  let delivered = 0
  do {
    const sink = await takeSink(catalog, sinkId, owner)
    if (!sink) return delivered
    try {
      delivered += await drain(context, sink, endAt)
    } finally {
      await leaveSink(catalog, sinkId, owner)
    }
    if (context.stop.aborted) return delivered
    if (performance.now() >= endAt) {
      await ringSinksDue(catalog)
      return delivered
    }
  } while (await hasDue(catalog, sinkId))
  return delivered
}

async function drain(context: DeliveryContext, sink: SinkToSend, endAt: number): Promise<number> {
  const { catalog, owner, stop } = context
  for (let delivered = 0; ; delivered++) {
    if (stop.aborted || performance.now() >= endAt) return delivered
    const delivery = await nextDelivery(catalog, sink.id, owner)
    if (!delivery) return delivered
    const outcome = await deliver(context, sink, delivery)
    if (outcome === 'away') return delivered
    if (outcome === 'failed') delivered--
  }
}

async function deliver(
  { catalog, outlets, log, retrySeconds }: DeliveryContext,
  sink: SinkToSend,
  { id, createdAt, event }: Delivery,
): Promise<'delivered' | 'failed' | 'away'> {
  const subject = { sink: sink.id, event: event.uuid, kind: event.kind }
  reached('notify-sending', subject)
  try {
    await sendTo(outlets, sink, event)
  } catch (thrown) {
    const error = toCofferError(thrown)
    const now = outlets.clock()
    log.warn({ ...subject, err: error }, 'an event could not be delivered; it is tried again')
    await recordFailed(catalog, sink, id, {
      error: scrub(error.message),
      isAway: isAway(error),
      pauseSeconds: (failures) => backoffSeconds(failures, retrySeconds, Math.random()),
      giveUpBefore: new Date(now.getTime() - GIVE_UP_MS),
      now,
    })
    return isAway(error) ? 'away' : 'failed'
  }
  reached('notify-sent', subject)
  await recordDelivered(catalog, sink.id, id, outlets.clock())
  log.info({ ...subject, waited_ms: outlets.clock().getTime() - createdAt.getTime() }, 'event delivered')
  return 'delivered'
}

/** Without bells: sends what has been due for so many seconds, to several sinks at a time. @returns how many were delivered */
export async function deliverDue(context: DeliveryContext, dueForSeconds: number): Promise<number> {
  const due = (await dueSinks(context.catalog, dueForSeconds)).values()
  let delivered = 0
  const serveRest = async () => {
    for (const id of due)
      try {
        delivered += await deliverTo(context, id)
      } catch (error) {
        context.log.error({ sink: id, err: error }, 'a sink could not be served; the others are')
      }
  }
  await Promise.all(Array.from({ length: SINKS_AT_ONCE }, serveRest))
  return delivered
}
