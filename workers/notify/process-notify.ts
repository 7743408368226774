import { isUuid } from '../../shared/catalog/scope.ts'
import { deliverTo, type DeliveryContext } from '../../shared/notify/deliver.ts'
import { outletsOf } from '../../shared/notify/outlets.ts'
import type { BellJob, WorkerContext } from '../run-processor.ts'

/** The bell of a sink only makes us look: the catalog says what is due. @returns what became of it, for Bull Board */
export async function processNotify(context: WorkerContext, { data: { id } }: BellJob): Promise<string> {
  if (!isUuid(id)) return `nothing to do: there is no sink ${id}`
  const delivered = await deliverTo(deliveryContext(context), id)
  context.ringer.nudge()
  return `delivered ${delivered}`
}

function deliveryContext({ catalog, config, secrets, clock, log, owner, stop }: WorkerContext): DeliveryContext {
  const outlets = outletsOf(config, secrets, clock)
  return { catalog, outlets, log, owner, retrySeconds: config.COFFER_NOTIFY_RETRY_SECONDS, stop }
}
