import { z } from 'zod'
import {
  createApplication,
  deleteApplication,
  getApplication,
  listApplications,
  updateApplication,
} from '../../shared/catalog/applications.ts'
import { defaultOrganisationId, getOrganisation } from '../../shared/catalog/organisations.ts'
import { filterText, name, slug, uuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { listReply, parseBody, parseListQuery } from '../requests.ts'
import type { Call, Route } from '../routes.ts'

const NewApplication = z.strictObject({ slug, name: name.optional(), organisation: uuid.optional() })
const Changes = z.strictObject({ slug: slug.optional(), name: name.optional() })

export function applicationRoutes({ catalog, clock }: Producer): Route[] {
  const all = '/apps/v3/applications/'
  const one = `${all}:uuid/`
  return [
    {
      method: 'GET',
      path: all,
      role: 'viewer',
      async handle(call) {
        const { filters, page } = parseListQuery({ slug: filterText.optional() }, call)
        const { rows, count } = await listApplications(catalog, { scope: call.actor.scope, slug: filters.slug, page })
        return listReply(call, page, count, rows)
      },
    },
    {
      method: 'POST',
      path: all,
      role: 'admin',
      async handle(call) {
        const body = parseBody(NewApplication, call)
        const organisationId = await chosenOrganisation(call, body.organisation)
        const { slug: chosen, name: given = chosen } = body
        const input = { organisationId, slug: chosen, name: given, now: clock() }
        return { status: 201, body: await createApplication(catalog, input) }
      },
    },
    {
      method: 'GET',
      path: one,
      role: 'viewer',
      handle: async ({ params, actor }) => ({
        status: 200,
        body: await getApplication(catalog, params['uuid'] ?? '', actor.scope),
      }),
    },
    {
      method: 'PATCH',
      path: one,
      role: 'admin',
      handle: async (call) => ({
        status: 200,
        body: await updateApplication(catalog, call.params['uuid'] ?? '', call.actor.scope, parseBody(Changes, call)),
      }),
    },
    {
      method: 'DELETE',
      path: one,
      role: 'admin',
      async handle({ params, actor }) {
        await deleteApplication(catalog, params['uuid'] ?? '', actor.scope, clock())
        return { status: 204 }
      },
    },
  ]

  async function chosenOrganisation({ actor }: Call, asked: string | undefined): Promise<string> {
    if (asked === undefined) return actor.scope.organisationId ?? defaultOrganisationId(catalog)
    return (await getOrganisation(catalog, asked, actor.scope)).uuid
  }
}
