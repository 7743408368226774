import { raiseAlert, resolveAlert } from './alerts.ts'
import type { Catalog, Db } from './database.ts'
import { EVENT_FROM, EVENT_VIEW, type EventView } from './events.ts'
import { SINK_TO_SEND, type SinkToSend } from './notification-sinks.ts'
import type { Page, Scope } from './scope.ts'

/** One event for one sink, as the API shows it. */
export interface DeliveryView {
  uuid: string
  event: string
  kind: string
  sink: string
  state: 'QUEUED' | 'DELIVERED' | 'GAVE_UP'
  tries: number
  /** Why the last try failed. */
  error: string | null
  created_at: Date
  ended_at: Date | null
}

export interface DeliveryFilter {
  scope: Scope
  sinkId?: string | undefined
  eventId?: string | undefined
  state?: string | undefined
  page: Page
}

/** Newest first. */
export async function listDeliveries(db: Db, filter: DeliveryFilter): Promise<{ rows: DeliveryView[]; count: number }> {
  const from = `FROM notification_deliveries d JOIN notification_sinks n ON n.id = d.sink_id JOIN events v ON v.id = d.event_id
    WHERE ($1::uuid IS NULL OR n.organisation_id = $1) AND ($2::uuid IS NULL OR d.sink_id = $2)
      AND ($3::uuid IS NULL OR d.event_id = $3) AND ($4::text IS NULL OR d.state = $4)`
  const values = [filter.scope.organisationId, filter.sinkId ?? null, filter.eventId ?? null, filter.state ?? null]
  const rows = await db.query<DeliveryView>(
    `SELECT d.id AS uuid, d.event_id AS event, v.kind, d.sink_id AS sink, d.state, d.tries, d.error, d.created_at, d.ended_at ${from}
      ORDER BY d.seq DESC, d.id LIMIT $5 OFFSET $6`,
    [...values, filter.page.limit, filter.page.offset],
  )
  const [total] = await db.query<{ count: number }>(`SELECT count(*) ${from}`, values)
  return { rows, count: total?.count ?? 0 }
}

/** One process sends to a sink at a time; a sender that shows no life for so long has died. */
const SENDER_SECONDS = 30

const IS_DUE = `d.state = 'QUEUED' AND d.not_before <= now() AND NOT EXISTS (
  SELECT 1 FROM notification_deliveries p WHERE p.sink_id = d.sink_id AND p.state = 'QUEUED' AND p.lane = d.lane AND p.seq < d.seq)`

/** null: there is no such sink, it pauses, or another process sends to it. */
export async function takeSink(db: Db, id: string, owner: string): Promise<SinkToSend | null> {
  const [row] = await db.query<SinkToSend>(
    `UPDATE notification_sinks n SET sender = $2, sender_expires_at = now() + make_interval(secs => ${SENDER_SECONDS})
      WHERE n.id = $1 AND n.deleted_at IS NULL AND n.paused_until <= now() AND n.sender_expires_at <= now()
     RETURNING ${SINK_TO_SEND}`,
    [id, owner],
  )
  return row ?? null
}

export async function leaveSink(db: Db, id: string, owner: string): Promise<void> {
  await db.query(
    `UPDATE notification_sinks SET sender = NULL, sender_expires_at = '-infinity' WHERE id = $1 AND sender = $2`,
    [id, owner],
  )
}

export interface Delivery {
  id: string
  createdAt: Date
  event: EventView
}

/**
 * The oldest that is due and waits for no earlier one of its lane; prolongs the sender's time.
 * @returns null: nothing is due, or another sends to this sink
 */
export async function nextDelivery(db: Db, sinkId: string, owner: string): Promise<Delivery | null> {
  const held = await db.query(
    `UPDATE notification_sinks SET sender_expires_at = now() + make_interval(secs => ${SENDER_SECONDS})
      WHERE id = $1 AND sender = $2 AND deleted_at IS NULL RETURNING id`,
    [sinkId, owner],
  )
  if (held.length === 0) return null
  const [row] = await db.query<EventView & { delivery: string; created_at: Date }>(
    `SELECT d.id AS delivery, d.created_at, ${EVENT_VIEW} FROM notification_deliveries d JOIN (${EVENT_FROM}) ON v.id = d.event_id
      WHERE d.sink_id = $1 AND ${IS_DUE} ORDER BY d.seq LIMIT 1`,
    [sinkId],
  )
  if (!row) return null
  const { delivery, created_at: createdAt, ...event } = row
  return { id: delivery, createdAt, event }
}

/** Whether something has come due for a sink that does not pause. */
export async function hasDue(db: Db, sinkId: string): Promise<boolean> {
  const rows = await db.query(
    `SELECT 1 FROM notification_sinks n JOIN notification_deliveries d ON d.sink_id = n.id
      WHERE n.id = $1 AND n.deleted_at IS NULL AND n.paused_until <= now() AND ${IS_DUE} LIMIT 1`,
    [sinkId],
  )
  return rows.length > 0
}

/** Sinks for which something has been due for so many seconds and that nobody sends to. */
export async function dueSinks(db: Db, dueForSeconds: number): Promise<string[]> {
  const rows = await db.query<{ id: string }>(
    `SELECT n.id FROM notification_sinks n
      WHERE n.deleted_at IS NULL AND n.paused_until <= now() - make_interval(secs => $1) AND n.sender_expires_at <= now()
        AND EXISTS (SELECT 1 FROM notification_deliveries d
                     WHERE d.sink_id = n.id AND d.not_before <= now() - make_interval(secs => $1) AND ${IS_DUE})`,
    [dueForSeconds],
  )
  return rows.map(({ id }) => id)
}

/** Writes doorbells for the sinks for which something is due and whose bell may have been lost. */
export async function ringSinksDue(db: Db): Promise<void> {
  await db.query(
    `INSERT INTO outbox (queue, job_id, name, data)
     SELECT 'notify', n.id || '-' || 0, n.name, jsonb_build_object('id', n.id, 'attempt', 0) FROM notification_sinks n
      WHERE n.id = ANY($1::uuid[]) AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.queue = 'notify' AND o.data->>'id' = n.id::text)`,
    [await dueSinks(db, 0)],
  )
}

/** It was taken: the sink is in order again. */
export async function recordDelivered(catalog: Catalog, sinkId: string, id: string, now: Date): Promise<void> {
  await catalog.transaction(async (tx) => {
    await tx.query(
      `UPDATE notification_deliveries SET state = 'DELIVERED', tries = tries + 1, error = NULL, ended_at = $2
        WHERE id = $1 AND state = 'QUEUED'`,
      [id, now],
    )
    await recordSinkAnswered(tx, sinkId, now)
  })
}

/** It takes what is sent: nothing pauses any more, and no alert is open. */
export async function recordSinkAnswered(tx: Db, sinkId: string, now: Date): Promise<void> {
  await tx.query(
    `UPDATE notification_sinks SET failures = 0, last_error = NULL, paused_until = '-infinity'
      WHERE id = $1 AND (failures > 0 OR last_error IS NOT NULL)`,
    [sinkId],
  )
  await resolveAlert(tx, { kind: 'notify-failed', subject: sinkId }, now)
}

export interface FailedDelivery {
  error: string
  /** The sink itself does not answer: everything waits. Else only this lane does. */
  isAway: boolean
  /** By how many times it has failed, seconds until the next try. */
  pauseSeconds: (failures: number) => number
  /** What was created before is given up. */
  giveUpBefore: Date
  now: Date
}

/** Tried again later, or given up with an alert that is not sent to this sink. */
export async function recordFailed(
  catalog: Catalog,
  sink: SinkToSend,
  id: string,
  { error, isAway, pauseSeconds, giveUpBefore, now }: FailedDelivery,
): Promise<void> {
  await catalog.transaction(async (tx) => {
    const [tried] = await tx.query<{ tries: number }>(
      `UPDATE notification_deliveries SET tries = tries + 1, error = $2 WHERE id = $1 AND state = 'QUEUED' RETURNING tries`,
      [id, error],
    )
    const [failed] = await tx.query<{ failures: number }>(
      'UPDATE notification_sinks SET failures = failures + 1, last_error = $2 WHERE id = $1 RETURNING failures',
      [sink.id, error],
    )
    const delay = pauseSeconds(isAway ? (failed?.failures ?? 1) : (tried?.tries ?? 1))
    const wait = isAway
      ? 'UPDATE notification_sinks SET paused_until = now() + make_interval(secs => $2) WHERE id = $1'
      : 'UPDATE notification_deliveries SET not_before = now() + make_interval(secs => $2) WHERE id = $1'
    await tx.query(wait, [isAway ? sink.id : id, delay])
    const lost = await tx.query(
      `UPDATE notification_deliveries SET state = 'GAVE_UP', error = $3, ended_at = $4
        WHERE sink_id = $1 AND state = 'QUEUED' AND created_at < $2 AND (id = $5 OR $6) RETURNING id`,
      [sink.id, giveUpBefore, error, now, id, isAway],
    )
    if (lost.length === 0) return
    const message = `notification sink ${sink.name}: ${lost.length} event(s) could not be delivered and were given up: ${error}`
    const { organisationId } = sink
    await raiseAlert(tx, { kind: 'notify-failed', subject: sink.id, environmentId: null, organisationId, message }, now)
  })
}
