import { z } from 'zod'
import {
  createApplication,
  deleteApplication,
  getApplication,
  listApplications,
  updateApplication,
} from '../../shared/catalog/applications.ts'
import { defaultOrganisationId, getOrganisation } from '../../shared/catalog/organisations.ts'
import type { Actor } from '../auth.ts'
import { list, route } from '../define-route.ts'
import { filterText, name, slug, uuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { Application } from '../replies/tree.ts'
import type { Route } from '../routes.ts'

const NewApplication = z.strictObject({ slug, name: name.optional(), organisation: uuid.optional() })
const Changes = z.strictObject({ slug: slug.optional(), name: name.optional() })

export function applicationRoutes({ catalog }: Producer): Route[] {
  const all = '/apps/v3/applications/'
  const one = `${all}:uuid/`
  return [
    list({
      path: all,
      role: 'viewer',
      summary: 'Lists applications.',
      filters: { slug: filterText.optional() },
      of: Application,
      rows: ({ actor: { scope }, query, page }) => listApplications(catalog, { scope, slug: query.slug, page }),
    }),
    route({
      method: 'POST',
      path: all,
      role: 'admin',
      summary: 'Registers an application.',
      body: NewApplication,
      reply: Application,
      status: 201,
      codes: ['NOT_FOUND', 'CONFLICT'],
      async handle({ body, actor, now }) {
        const organisationId = await chosenOrganisation(actor, body.organisation)
        const { slug: chosen, name: given = chosen } = body
        return createApplication(catalog, { organisationId, slug: chosen, name: given, now })
      },
    }),
    route({
      method: 'GET',
      path: one,
      role: 'viewer',
      summary: 'Shows an application.',
      reply: Application,
      handle: ({ id, actor }) => getApplication(catalog, id, actor.scope),
    }),
    route({
      method: 'PATCH',
      path: one,
      role: 'admin',
      summary: 'Renames an application.',
      body: Changes,
      reply: Application,
      codes: ['CONFLICT'],
      handle: ({ id, actor, body }) => updateApplication(catalog, id, actor.scope, body),
    }),
    route({
      method: 'DELETE',
      path: one,
      role: 'admin',
      summary: 'Removes an application; its backups are kept.',
      reply: null,
      codes: ['CONFLICT'],
      async handle({ id, actor, now }) {
        await deleteApplication(catalog, id, actor.scope, now)
      },
    }),
  ]

  async function chosenOrganisation({ scope }: Actor, asked: string | undefined): Promise<string> {
    if (asked === undefined) return scope.organisationId ?? defaultOrganisationId(catalog)
    return (await getOrganisation(catalog, asked, scope)).uuid
  }
}
