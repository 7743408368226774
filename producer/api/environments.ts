import { z } from 'zod'
import { getApplication } from '../../shared/catalog/applications.ts'
import {
  createEnvironment,
  deleteEnvironment,
  getEnvironment,
  listEnvironments,
  updateEnvironment,
} from '../../shared/catalog/environments.ts'
import { DEFAULT_SLUG } from '../../shared/catalog/organisations.ts'
import { getPlan } from '../../shared/catalog/plans.ts'
import { resumePruning } from '../../shared/catalog/pruning.ts'
import { DEFAULT_POLICY } from '../../shared/domain/retention/policy.ts'
import { changeOfPlan } from '../../shared/retention/preview.ts'
import { requireConfirmation } from '../confirmation.ts'
import { confirm, filterText, filterUuid, slug, timezone, uuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { listReply, parseBody, parseListQuery } from '../requests.ts'
import type { Call, Reply, Route } from '../routes.ts'

const NewEnvironment = z.strictObject({
  application: uuid,
  slug,
  plan: uuid.nullable().optional(),
  store: uuid.nullable().default(null),
  timezone: timezone.default('UTC'),
})
const Changes = z.strictObject({
  slug: slug.optional(),
  plan: uuid.nullable().optional(),
  store: uuid.nullable().optional(),
  timezone: timezone.optional(),
  confirm: confirm.optional(),
})
const Nothing = z.strictObject({})
const filters = { application: filterUuid.optional(), slug: filterText.optional() }

export function environmentRoutes({ catalog, clock, ringer }: Producer): Route[] {
  const all = '/apps/v3/environments/'
  const one = `${all}:uuid/`
  return [
    {
      method: 'GET',
      path: all,
      role: 'viewer',
      async handle(call) {
        const { filters: given, page } = parseListQuery(filters, call)
        const { rows, count } = await listEnvironments(catalog, {
          scope: call.actor.scope,
          applicationId: given.application,
          slug: given.slug,
          page,
        })
        return listReply(call, page, count, rows)
      },
    },
    {
      method: 'POST',
      path: all,
      role: 'admin',
      async handle(call) {
        const body = parseBody(NewEnvironment, call)
        const { scope } = call.actor
        const { uuid: applicationId } = await getApplication(catalog, body.application, scope)
        const { slug: chosen, store: storeId, timezone: zone } = body
        const planId = body.plan === undefined ? (await getPlan(catalog, DEFAULT_SLUG)).uuid : body.plan
        const input = { applicationId, slug: chosen, planId, storeId, timezone: zone, scope, now: clock() }
        return { status: 201, body: await createEnvironment(catalog, input) }
      },
    },
    {
      method: 'GET',
      path: one,
      role: 'viewer',
      handle: async ({ params, actor }) => ({
        status: 200,
        body: await getEnvironment(catalog, params['uuid'] ?? '', actor.scope),
      }),
    },
    { method: 'PATCH', path: one, role: 'admin', handle: update },
    {
      method: 'DELETE',
      path: one,
      role: 'admin',
      async handle({ params, actor }) {
        await deleteEnvironment(catalog, params['uuid'] ?? '', actor.scope, clock())
        return { status: 204 }
      },
    },
    {
      method: 'POST',
      path: `${one}resume-pruning/`,
      role: 'admin',
      async handle(call) {
        parseBody(Nothing, call)
        const { params, actor } = call
        const { uuid: id } = await getEnvironment(catalog, params['uuid'] ?? '', actor.scope)
        await resumePruning(catalog, id, actor.scope, clock())
        ringer.nudge()
        return { status: 200, body: await getEnvironment(catalog, id, actor.scope) }
      },
    },
  ]

  async function update(call: Call): Promise<Reply> {
    const { plan: planId, store: storeId, confirm: digest, ...changes } = parseBody(Changes, call)
    const { scope } = call.actor
    const now = clock()
    const { uuid: id } = await getEnvironment(catalog, call.params['uuid'] ?? '', scope)
    if (planId !== undefined) {
      const policy = planId === null ? DEFAULT_POLICY : (await getPlan(catalog, planId)).retention
      requireConfirmation(await changeOfPlan(catalog, { environmentId: id }, policy, now), digest)
    }
    const body = await updateEnvironment(catalog, id, scope, { ...changes, planId, storeId }, now)
    return { status: 200, body }
  }
}
