import { writeAudit } from '../shared/catalog/audit.ts'
import { insideTransaction } from '../shared/catalog/database.ts'
import { useTokenById } from '../shared/catalog/tokens.ts'
import { CofferError } from '../shared/errors.ts'
import { entryOf, noteAudit } from './audit.ts'
import { requireRole, requireWholeInstallation, type Actor } from './auth.ts'
import { doOnce, idempotencyKeyOf, isAnswered } from './idempotency.ts'
import type { Producer } from './producer.ts'
import type { RateLimits } from './rate-limits.ts'
import { isCreation, type Call, type Perform, type Reply, type Route } from './routes.ts'
import { whileAllowed } from './server-events.ts'

export type RoutesOf = (producer: Producer) => Route[]

/**
 * How every request of the API is done. Reading needs the role only. A change is one transaction: what the route does, the line of the
 * audit log that says so, and the answer under its Idempotency-Key. So nothing is changed unrecorded, and nothing is done twice. A change
 * that can't be one (`isLong`) is recorded before, and how it ended after. What is refused is recorded, too.
 *
 * @param routesOf makes the routes anew, for the transaction of each change
 */
export function performer(producer: Producer, routesOf: RoutesOf, limits: RateLimits): Perform {
  const { catalog, clock } = producer
  return async (route, call) => {
    if (route.method === 'GET') {
      requireRight(route, call.actor)
      return endingWithToken(producer, call.actor, await route.handle(call, clock()))
    }
    if (isCreation(route)) limits.countCreation(call.actor)
    try {
      requireRight(route, call.actor)
      if (route.isSinkTest === true) limits.countSinkTest(call.actor)
      if (route.isLong !== true) return await change(producer, routesOf, route, call)
      await writeAudit(catalog, entryOf(route, call, clock(), 'begins'))
      const reply = await route.handle(call, clock())
      await noteAudit(producer, entryOf(route, call, clock(), { reply }))
      return reply
    } catch (error) {
      await noteAudit(producer, entryOf(route, call, clock(), { error }))
      throw error
    }
  }
}

function requireRight({ method, path, role, concernsAll }: Route, actor: Actor): void {
  requireRole(actor, role, `${method} ${path}`)
  if (concernsAll !== undefined) requireWholeInstallation(actor, concernsAll)
}

/** A stream of events ends soon after the token of its listener was revoked or has expired. */
function endingWithToken({ catalog, clock }: Producer, { tokenId }: Actor, reply: Reply): Reply {
  const { events } = reply
  if (!events) return reply
  const isAllowed = async () => (await useTokenById(catalog, tokenId, clock())) !== null
  return { ...reply, events: (signal) => whileAllowed(events, isAllowed, signal) }
}

async function change(producer: Producer, routesOf: RoutesOf, route: Route, call: Call): Promise<Reply> {
  const { catalog, clock, ringer } = producer
  const key = idempotencyKeyOf(route, call)
  if (route.vet && !(await isAnswered(producer, call, key))) await route.vet(call, clock())
  const reply = await catalog.transaction(async (tx) => {
    // Bells that are rung before the commit find nothing.
    const inside = { ...producer, catalog: insideTransaction(catalog, tx), ringer: { nudge: () => undefined } }
    const work = async () => {
      const reply = await sameRoute(routesOf(inside), route).handle(call, clock())
      await writeAudit(tx, entryOf(route, call, clock(), { reply }))
      return reply
    }
    return key === null ? work() : doOnce(tx, producer, { route, call, key }, work)
  })
  ringer.nudge()
  return reply
}

function sameRoute(routes: readonly Route[], { method, path }: Route): Route {
  const found = routes.find((route) => route.method === method && route.path === path)
  if (!found) throw new CofferError('INTERNAL', `the route ${method} ${path} is gone`)
  return found
}
