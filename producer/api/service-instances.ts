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
  type Egress,
} from '../../shared/catalog/service-instances.ts'
import { encryptConnection } from '../../shared/connections.ts'
import { SERVICE_TYPES } from '../../shared/domain/states.ts'
import { checkConnection, type ConnectionPolicy } from '../connection-policy.ts'
import { list, route } from '../define-route.ts'
import { filterUuid, prefix, uuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { ServiceInstance } from '../replies/tree.ts'
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

const CONNECTION_CODES = [
  'CONNECTION_INVALID',
  'CONNECTION_REFUSED_BY_POLICY',
  'EGRESS_REFUSED',
  'HOST_UNKNOWN',
] as const

const egressOf = ({ organisationId }: Scope): Egress => (organisationId === null ? 'installation' : 'organisation')

export function serviceInstanceRoutes({ catalog, secrets, settings }: Producer): Route[] {
  const all = '/apps/v3/service-instances/'
  const one = `${all}:uuid/`
  return [
    list({
      path: all,
      role: 'viewer',
      summary: 'Lists service instances, without their connections.',
      filters: { environment: filterUuid.optional() },
      of: ServiceInstance,
      rows: ({ actor: { scope }, query, page }) =>
        listServiceInstances(catalog, { scope, environmentId: query.environment, page }),
    }),
    route({
      method: 'POST',
      path: all,
      role: 'admin',
      summary: 'Registers a database or a folder of media files.',
      body: NewServiceInstance,
      reply: ServiceInstance,
      status: 201,
      codes: ['NOT_FOUND', 'CONFLICT', ...CONNECTION_CODES],
      async vet({ body, actor: { scope } }) {
        await getEnvironment(catalog, body.environment, scope)
        await checkConnection(body.type, body.connection, await policyFor(scope))
      },
      async handle({ body, actor: { scope }, now }) {
        const { uuid: environmentId } = await getEnvironment(catalog, body.environment, scope)
        const id = randomUUID()
        return createServiceInstance(catalog, {
          id,
          environmentId,
          type: body.type,
          prefix: body.prefix,
          connection: encryptConnection(secrets, id, body.connection),
          egress: egressOf(scope),
          scope,
          now,
        })
      },
    }),
    route({
      method: 'GET',
      path: one,
      role: 'viewer',
      summary: 'Shows a service instance, without its connection.',
      reply: ServiceInstance,
      handle: ({ id, actor }) => getServiceInstance(catalog, id, actor.scope),
    }),
    route({
      method: 'PATCH',
      path: one,
      role: 'admin',
      summary: 'Changes the connection of a service instance, or its prefix.',
      body: Changes,
      reply: ServiceInstance,
      codes: ['CONFLICT', ...CONNECTION_CODES],
      async vet({ id, body, actor: { scope } }) {
        const { type } = await getServiceInstance(catalog, id, scope)
        if (body.connection) await checkConnection(type, body.connection, await policyFor(scope))
      },
      async handle({ id: asked, body, actor: { scope } }) {
        const { uuid: id } = await getServiceInstance(catalog, asked, scope)
        return updateServiceInstance(catalog, id, scope, {
          prefix: body.prefix,
          connection: body.connection && encryptConnection(secrets, id, body.connection),
          egress: body.connection && egressOf(scope),
        })
      },
    }),
    route({
      method: 'DELETE',
      path: one,
      role: 'admin',
      summary: 'Removes a service instance; its backups are kept.',
      reply: null,
      codes: ['CONFLICT'],
      async handle({ id, actor, now }) {
        await deleteServiceInstance(catalog, id, actor.scope, now)
      },
    }),
  ]

  async function policyFor({ organisationId: own }: Scope): Promise<ConnectionPolicy> {
    const { media, egress } = settings
    if (own === null) return { media, egress, organisation: null }
    const { media_roots: mediaRoots } = await getOrganisation(catalog, own, { organisationId: own })
    return { media, egress, organisation: { mediaRoots } }
  }
}
