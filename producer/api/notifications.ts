import { randomUUID } from 'node:crypto'
import { listEvents } from '../../shared/catalog/events.ts'
import { listDeliveries, recordSinkAnswered } from '../../shared/catalog/notification-deliveries.ts'
import { deleteSink, getSink, getSinkToSend, listSinks } from '../../shared/catalog/notification-sinks.ts'
import type { Scope } from '../../shared/catalog/scope.ts'
import { DELIVERY_STATES, TEST_EVENT } from '../../shared/domain/notification.ts'
import { CofferError } from '../../shared/errors.ts'
import { sendTo } from '../../shared/notify/send.ts'
import { scrub } from '../../shared/scrub.ts'
import { list, route } from '../define-route.ts'
import { filterOf, filterText, filterUuid } from '../fields.ts'
import { changeSink, makeSink, NewSink, SinkChanges, vetNewSink, vetSinkChanges } from '../notification-sinks.ts'
import type { Producer } from '../producer.ts'
import { Delivery, Event, MadeSink, Sink, TestedSink } from '../replies/notifications.ts'
import type { Route } from '../routes.ts'

const eventFilters = {
  environment: filterUuid.optional(),
  backup: filterUuid.optional(),
  kind: filterText.optional(),
}
const deliveryFilters = {
  sink: filterUuid.optional(),
  event: filterUuid.optional(),
  state: filterOf(DELIVERY_STATES).optional(),
}

/** Who is told of what, and what became of it. Only admins see where events go. */
export function notificationRoutes(producer: Producer): Route[] {
  return [...sinkRoutes(producer), ...sentRoutes(producer)]
}

function sinkRoutes(producer: Producer): Route[] {
  const { catalog } = producer
  const all = '/apps/v3/notification-sinks/'
  const one = `${all}:uuid/`
  return [
    list({
      path: all,
      role: 'admin',
      summary: 'Lists where notifications go.',
      of: Sink,
      rows: ({ actor, page }) => listSinks(catalog, actor.scope, page),
    }),
    route({
      method: 'POST',
      path: all,
      role: 'admin',
      isSecret: true,
      summary: 'Registers where notifications go: a webhook, mail addresses or a heartbeat.',
      body: NewSink,
      reply: MadeSink,
      status: 201,
      codes: ['NOT_FOUND', 'CONFLICT', 'EGRESS_REFUSED', 'HOST_UNKNOWN'],
      vet: ({ body, actor }) => vetNewSink(producer, body, actor.scope),
      handle: ({ body, actor }) => makeSink(producer, body, actor.scope),
    }),
    route({
      method: 'GET',
      path: one,
      role: 'admin',
      summary: 'Shows a notification sink, without its secrets.',
      reply: Sink,
      handle: ({ id, actor }) => getSink(catalog, id, actor.scope),
    }),
    route({
      method: 'PATCH',
      path: one,
      role: 'admin',
      summary: 'Changes a notification sink; another address of a signed webhook gets another secret.',
      body: SinkChanges,
      reply: MadeSink,
      codes: ['CONFLICT', 'EGRESS_REFUSED', 'HOST_UNKNOWN'],
      vet: ({ id, body, actor }) => vetSinkChanges(producer, id, body, actor.scope),
      handle: ({ id, body, actor }) => changeSink(producer, id, body, actor.scope),
    }),
    route({
      method: 'DELETE',
      path: one,
      role: 'admin',
      summary: 'Removes a notification sink.',
      reply: null,
      async handle({ id, actor, now }) {
        await deleteSink(catalog, id, actor.scope, now)
      },
    }),
    route({
      method: 'POST',
      path: `${one}test/`,
      role: 'admin',
      isLong: true,
      isSinkTest: true,
      summary: 'Sends a test to a notification sink at once, and says how it went.',
      reply: TestedSink,
      handle: ({ id, actor, now }) => testSink(producer, id, actor.scope, now),
    }),
  ]
}

function sentRoutes({ catalog }: Producer): Route[] {
  return [
    list({
      path: '/apps/v3/events/',
      role: 'viewer',
      summary: 'Lists what happened, newest first.',
      filters: eventFilters,
      of: Event,
      rows({ actor: { scope }, query: { environment: environmentId, backup: backupId, kind }, page }) {
        return listEvents(catalog, { scope, environmentId, backupId, kind, page })
      },
    }),
    list({
      path: '/apps/v3/notification-deliveries/',
      role: 'admin',
      summary: 'Lists what was sent to whom and how that went, newest first.',
      filters: deliveryFilters,
      of: Delivery,
      rows: ({ actor: { scope }, query, page }) =>
        listDeliveries(catalog, { scope, sinkId: query.sink, eventId: query.event, state: query.state, page }),
    }),
  ]
}

const UNDELIVERED = ['SINK_FAILED', 'EGRESS_REFUSED', 'HOST_UNKNOWN']

/**
 * Sends at once and says how it went; that a receiver fails is an answer, not a failure of the request. A sink that takes it is in
 * order again, and gets what waits for it.
 */
async function testSink({ catalog, outlets, ringer }: Producer, id: string, scope: Scope, now: Date) {
  const sink = await getSinkToSend(catalog, id, scope)
  const event = {
    uuid: randomUUID(),
    kind: TEST_EVENT,
    at: now,
    // Without its name: whoever gets this may never have asked for it, and the name says whatever its maker likes.
    message: 'a test of a notification sink',
    organisation: null,
    application: null,
    environment_slug: null,
    environment: null,
    backup: null,
    facts: {},
  }
  try {
    await sendTo(outlets, sink, event)
  } catch (error) {
    if (!(error instanceof CofferError) || !UNDELIVERED.includes(error.code)) throw error
    const { code, message, remedy } = error
    return { event: event.uuid, delivered: false, error: { code, message: scrub(message), remedy } }
  }
  await catalog.transaction((tx) => recordSinkAnswered(tx, id, now))
  ringer.nudge()
  return { event: event.uuid, delivered: true, error: null }
}
