import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { getEnvironment } from '../../shared/catalog/environments.ts'
import { getOrganisation } from '../../shared/catalog/organisations.ts'
import type { Scope } from '../../shared/catalog/scope.ts'
import {
  createServiceInstance,
  deleteServiceInstance,
  getServiceInstance,
  listServiceInstances,
  updateServiceInstance,
} from '../../shared/catalog/service-instances.ts'
import { encryptConnection } from '../../shared/connections.ts'
import { SERVICE_TYPES } from '../../shared/domain/states.ts'
import { checkConnection } from '../connection-policy.ts'
import { filterUuid, prefix, uuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { listReply, parseBody, parseListQuery } from '../requests.ts'
import type { Route } from '../routes.ts'

const connection = z.strictObject(
  { url: z.string('must be an address').min(1, 'must not be empty').max(4096, 'must be at most 4096 characters') },
  'must be an object such as {"url": "postgres://user:password@host:port/name"}',
)
const NewServiceInstance = z.strictObject({
  environment: uuid,
  type: z.enum(SERVICE_TYPES, 'must be DATABASE or STORAGE'),
  prefix: prefix.default('DEFAULT'),
  connection,
})
const Changes = z.strictObject({ prefix: prefix.optional(), connection: connection.optional() })

export function serviceInstanceRoutes({ catalog, clock, secrets, settings }: Producer): Route[] {
  const all = '/apps/v3/service-instances/'
  const one = `${all}:uuid/`
  return [
    {
      method: 'GET',
      path: all,
      role: 'viewer',
      async handle(call) {
        const { filters, page } = parseListQuery({ environment: filterUuid.optional() }, call)
        const filter = { scope: call.actor.scope, environmentId: filters.environment, page }
        const { rows, count } = await listServiceInstances(catalog, filter)
        return listReply(call, page, count, rows)
      },
    },
    {
      method: 'POST',
      path: all,
      role: 'admin',
      async handle(call) {
        const body = parseBody(NewServiceInstance, call)
        const { scope } = call.actor
        const { uuid: environmentId } = await getEnvironment(catalog, body.environment, scope)
        await checkConnection(body.type, body.connection, await policyFor(scope))
        const id = randomUUID()
        const input = {
          id,
          environmentId,
          type: body.type,
          prefix: body.prefix,
          connection: encryptConnection(secrets, id, body.connection),
          scope,
          now: clock(),
        }
        return { status: 201, body: await createServiceInstance(catalog, input) }
      },
    },
    {
      method: 'GET',
      path: one,
      role: 'viewer',
      handle: async ({ params, actor }) => ({
        status: 200,
        body: await getServiceInstance(catalog, params['uuid'] ?? '', actor.scope),
      }),
    },
    {
      method: 'PATCH',
      path: one,
      role: 'admin',
      async handle(call) {
        const body = parseBody(Changes, call)
        const { scope } = call.actor
        const { uuid: id, type } = await getServiceInstance(catalog, call.params['uuid'] ?? '', scope)
        if (body.connection) await checkConnection(type, body.connection, await policyFor(scope))
        const changes = {
          prefix: body.prefix,
          connection: body.connection && encryptConnection(secrets, id, body.connection),
        }
        return { status: 200, body: await updateServiceInstance(catalog, id, scope, changes) }
      },
    },
    {
      method: 'DELETE',
      path: one,
      role: 'admin',
      async handle({ params, actor }) {
        await deleteServiceInstance(catalog, params['uuid'] ?? '', actor.scope, clock())
        return { status: 204 }
      },
    },
  ]

  async function policyFor({ organisationId: own }: Scope) {
    const roots = own === null ? null : (await getOrganisation(catalog, own, { organisationId: own })).media_roots
    return { media: settings.media, organisationRoots: roots }
  }
}
