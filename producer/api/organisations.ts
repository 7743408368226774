import { isAbsolute } from 'node:path'
import { z } from 'zod'
import {
  createOrganisation,
  getOrganisation,
  listOrganisations,
  updateOrganisation,
} from '../../shared/catalog/organisations.ts'
import { requireWholeInstallation } from '../auth.ts'
import { checkMediaRoots } from '../connection-policy.ts'
import { filterText, name, slug } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { listReply, parseBody, parseListQuery } from '../requests.ts'
import type { Call, Route } from '../routes.ts'

const folder = z
  .string('must be text')
  .max(4096, 'must be at most 4096 characters')
  .refine((path) => isAbsolute(path) && !path.includes('\0'), 'must be an absolute path')
const mediaRoots = z.array(folder, 'must be a list of folders').max(100, 'must be at most 100').nullable()
const NewOrganisation = z.strictObject({ slug, name: name.optional(), media_roots: mediaRoots.default([]) })
const Changes = z.strictObject({
  slug: slug.optional(),
  name: name.optional(),
  media_roots: mediaRoots.optional(),
})

/** Whose applications and tokens there are. Only an admin of the whole installation makes and changes them. */
export function organisationRoutes({ catalog, clock, settings }: Producer): Route[] {
  const all = '/apps/v3/organisations/'
  const one = `${all}:uuid/`
  const idOf = ({ params }: Call) => params['uuid'] ?? ''
  return [
    {
      method: 'GET',
      path: all,
      role: 'viewer',
      async handle(call) {
        const { filters, page } = parseListQuery({ slug: filterText.optional() }, call)
        const { rows, count } = await listOrganisations(catalog, { scope: call.actor.scope, ...filters, page })
        return listReply(call, page, count, rows)
      },
    },
    {
      method: 'POST',
      path: all,
      role: 'admin',
      async handle(call) {
        requireWholeInstallation(call.actor, 'making an organisation')
        const { slug: chosen, name: given = chosen, media_roots: roots } = parseBody(NewOrganisation, call)
        await checkMediaRoots(roots ?? [], settings)
        const input = { slug: chosen, name: given, mediaRoots: roots, now: clock() }
        return { status: 201, body: await createOrganisation(catalog, input) }
      },
    },
    {
      method: 'GET',
      path: one,
      role: 'viewer',
      handle: async (call) => ({ status: 200, body: await getOrganisation(catalog, idOf(call), call.actor.scope) }),
    },
    {
      method: 'PATCH',
      path: one,
      role: 'admin',
      async handle(call) {
        const { uuid } = await getOrganisation(catalog, idOf(call), call.actor.scope)
        requireWholeInstallation(call.actor, 'changing an organisation')
        const { media_roots: roots, ...changes } = parseBody(Changes, call)
        await checkMediaRoots(roots ?? [], settings)
        return { status: 200, body: await updateOrganisation(catalog, uuid, { ...changes, mediaRoots: roots }) }
      },
    },
  ]
}
