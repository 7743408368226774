import { z } from 'zod'
import { getApplication } from '../../shared/catalog/applications.ts'
import {
  createEnvironment,
  deleteEnvironment,
  getEnvironment,
  listEnvironments,
  updateEnvironment,
} from '../../shared/catalog/environments.ts'
import { filterText, filterUuid, slug, timezone, uuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { listReply, parseBody, parseListQuery } from '../requests.ts'
import type { Route } from '../routes.ts'

const NewEnvironment = z.strictObject({
  application: uuid,
  slug,
  plan: uuid.nullable().default(null),
  store: uuid.nullable().default(null),
  timezone: timezone.default('UTC'),
})
const Changes = z.strictObject({
  slug: slug.optional(),
  plan: uuid.nullable().optional(),
  store: uuid.nullable().optional(),
  timezone: timezone.optional(),
})
const filters = { application: filterUuid.optional(), slug: filterText.optional() }

export function environmentRoutes({ catalog, clock }: Producer): Route[] {
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
        const { slug: chosen, plan: planId, store: storeId, timezone: zone } = body
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
    {
      method: 'PATCH',
      path: one,
      role: 'admin',
      async handle(call) {
        const { plan: planId, store: storeId, ...changes } = parseBody(Changes, call)
        const { params, actor } = call
        return {
          status: 200,
          body: await updateEnvironment(
            catalog,
            params['uuid'] ?? '',
            actor.scope,
            { ...changes, planId, storeId },
            clock(),
          ),
        }
      },
    },
    {
      method: 'DELETE',
      path: one,
      role: 'admin',
      async handle({ params, actor }) {
        await deleteEnvironment(catalog, params['uuid'] ?? '', actor.scope, clock())
        return { status: 204 }
      },
    },
  ]
}
