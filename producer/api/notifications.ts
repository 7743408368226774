import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { listEvents } from '../../shared/catalog/events.ts'
import { listDeliveries, recordSinkAnswered } from '../../shared/catalog/notification-deliveries.ts'
import { deleteSink, getSink, getSinkToSend, listSinks } from '../../shared/catalog/notification-sinks.ts'
import { DELIVERY_STATES, TEST_EVENT } from '../../shared/domain/notification.ts'
import { sendTo } from '../../shared/notify/send.ts'
import { filterText, filterUuid } from '../fields.ts'
import { changeSink, makeSink, NewSink, SinkChanges } from '../notification-sinks.ts'
import type { Producer } from '../producer.ts'
import { listReply, parseBody, parseListQuery } from '../requests.ts'
import type { Call, Reply, Route } from '../routes.ts'

const Nothing = z.strictObject({})
const eventFilters = {
  environment: filterUuid.optional(),
  backup: filterUuid.optional(),
  kind: filterText.optional(),
}
const deliveryFilters = {
  sink: filterUuid.optional(),
  event: filterUuid.optional(),
  state: filterText.pipe(z.enum(DELIVERY_STATES, `must be one of ${DELIVERY_STATES.join(', ')}`)).optional(),
}

/** Who is told of what, and what became of it. Only admins see where events go. */
export function notificationRoutes(producer: Producer): Route[] {
  const { catalog, clock, ringer } = producer
  const all = '/apps/v3/notification-sinks/'
  const one = `${all}:uuid/`
  const idOf = ({ params }: Call) => params['uuid'] ?? ''
  return [
    {
      method: 'GET',
      path: all,
      role: 'admin',
      async handle(call) {
        const { page } = parseListQuery({}, call)
        const { rows, count } = await listSinks(catalog, call.actor.scope, page)
        return listReply(call, page, count, rows)
      },
    },
    {
      method: 'POST',
      path: all,
      role: 'admin',
      isSecret: true,
      handle: async (call) => ({
        status: 201,
        body: await makeSink(producer, parseBody(NewSink, call), call.actor.scope),
      }),
    },
    {
      method: 'GET',
      path: one,
      role: 'admin',
      handle: async (call) => ({ status: 200, body: await getSink(catalog, idOf(call), call.actor.scope) }),
    },
    {
      method: 'PATCH',
      path: one,
      role: 'admin',
      handle: async (call) => ({
        status: 200,
        body: await changeSink(producer, idOf(call), parseBody(SinkChanges, call), call.actor.scope),
      }),
    },
    {
      method: 'DELETE',
      path: one,
      role: 'admin',
      async handle(call) {
        await deleteSink(catalog, idOf(call), call.actor.scope, clock())
        return { status: 204 }
      },
    },
    { method: 'POST', path: `${one}test/`, role: 'admin', isLong: true, isSinkTest: true, handle: testSink },
    {
      method: 'GET',
      path: '/apps/v3/events/',
      role: 'viewer',
      async handle(call) {
        const { filters, page } = parseListQuery(eventFilters, call)
        const { environment: environmentId, backup: backupId, kind } = filters
        const filter = { scope: call.actor.scope, environmentId, backupId, kind, page }
        const { rows, count } = await listEvents(catalog, filter)
        return listReply(call, page, count, rows)
      },
    },
    {
      method: 'GET',
      path: '/apps/v3/notification-deliveries/',
      role: 'admin',
      async handle(call) {
        const { filters, page } = parseListQuery(deliveryFilters, call)
        const filter = {
          scope: call.actor.scope,
          sinkId: filters.sink,
          eventId: filters.event,
          state: filters.state,
          page,
        }
        const { rows, count } = await listDeliveries(catalog, filter)
        return listReply(call, page, count, rows)
      },
    },
  ]

  /** Sends at once and says how it went. A sink that takes it is in order again, and gets what waits for it. */
  async function testSink(call: Call): Promise<Reply> {
    parseBody(Nothing, call)
    const id = idOf(call)
    const sink = await getSinkToSend(catalog, id, call.actor.scope)
    const event = {
      uuid: randomUUID(),
      kind: TEST_EVENT,
      at: clock(),
      // Without its name: whoever gets this may never have asked for it, and the name says whatever its maker likes.
      message: 'a test of a notification sink',
      organisation: null,
      application: null,
      environment_slug: null,
      environment: null,
      backup: null,
      facts: {},
    }
    await sendTo(producer.outlets, sink, event)
    await catalog.transaction((tx) => recordSinkAnswered(tx, id, clock()))
    ringer.nudge()
    return { status: 200, body: { event: event.uuid, delivered: true } }
  }
}
