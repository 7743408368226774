import { randomUUID } from 'node:crypto'
import { createSink } from '../../shared/catalog/notification-sinks.ts'
import { exceptKinds, type SinkType, type WebhookFormat } from '../../shared/domain/notification.ts'
import { loadWorkerConfig } from '../../shared/config.ts'
import { openLog } from '../../shared/log.ts'
import type { DeliveryContext } from '../../shared/notify/deliver.ts'
import { outletsOf } from '../../shared/notify/outlets.ts'
import { encryptSink, shownTarget, type SinkSecret } from '../../shared/notify/sink-secret.ts'
import type { TestCoffer } from './coffer.ts'

/** What workers and producers of a test need to reach receivers on loopback, and to try again soon. */
export const SINK_ENV = { COFFER_EGRESS_ALLOW: '127.0.0.1/32', COFFER_NOTIFY_RETRY_SECONDS: '0.2' }

export interface SinkOptions {
  type?: SinkType
  format?: WebhookFormat | null
  kinds?: readonly string[] | null
  environments?: string[] | null
  organisationId?: string | null
}

/** A sink as the API would have made it. @returns its id */
export async function addSink(
  { catalog, secrets }: TestCoffer,
  secret: SinkSecret,
  { type = 'webhook', format = type === 'webhook' ? 'coffer' : null, ...options }: SinkOptions = {},
): Promise<string> {
  const id = randomUUID()
  const { kinds = null, environments = null, organisationId = null } = options
  await createSink(catalog, {
    id,
    organisationId,
    name: `sink ${id.slice(0, 8)}`,
    type,
    format,
    target: shownTarget(secret),
    secret: encryptSink(secrets, id, secret),
    environmentIds: environments,
    kinds,
    exceptKinds: kinds === null ? exceptKinds(type, format) : [],
    now: new Date(),
  })
  return id
}

/** A sender inside the test's own process. */
export function senderOf({ catalog, secrets, env }: TestCoffer, now = () => new Date()): DeliveryContext {
  const config = loadWorkerConfig({ ...env, ...SINK_ENV })
  return {
    catalog,
    outlets: outletsOf(config, secrets, now),
    log: openLog('test', 'silent'),
    owner: `test ${randomUUID()}`,
    retrySeconds: config.COFFER_NOTIFY_RETRY_SECONDS,
    stop: new AbortController().signal,
  }
}

/** An event as if something had happened; it finds its sinks by itself. @returns its id */
export async function happen(
  { catalog, environmentId }: TestCoffer,
  event: { kind?: string; subject?: string; at?: Date; message?: string; environmentId?: string | null } = {},
): Promise<string> {
  const [row] = await catalog.query<{ id: string }>(
    `INSERT INTO events (kind, organisation_id, environment_id, subject, at, message, facts)
     VALUES ($1, (SELECT id FROM organisations WHERE slug = 'default'), $2, $3, $4, $5,
             '{"policy_class": "on_demand"}') RETURNING id`,
    [
      event.kind ?? 'backup.failure',
      event.environmentId === undefined ? environmentId : event.environmentId,
      event.subject ?? randomUUID(),
      event.at ?? new Date(),
      event.message ?? 'it happened',
    ],
  )
  return row?.id ?? ''
}

export const deliveries = ({ catalog }: TestCoffer, sinkId: string) =>
  catalog.query<{ event: string; state: string; tries: number; error: string | null }>(
    'SELECT event_id AS event, state, tries, error FROM notification_deliveries WHERE sink_id = $1 ORDER BY seq',
    [sinkId],
  )
