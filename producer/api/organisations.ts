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
import { list, route } from '../define-route.ts'
import { filterText, name, slug } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { Organisation } from '../replies/tree.ts'
import type { Route } from '../routes.ts'

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
export function organisationRoutes({ catalog, settings }: Producer): Route[] {
  const all = '/apps/v3/organisations/'
  const one = `${all}:uuid/`
  return [
    list({
      path: all,
      role: 'viewer',
      summary: 'Lists organisations.',
      filters: { slug: filterText.optional() },
      of: Organisation,
      rows: ({ actor: { scope }, query, page }) => listOrganisations(catalog, { scope, ...query, page }),
    }),
    route({
      method: 'POST',
      path: all,
      role: 'admin',
      concernsAll: 'making an organisation',
      summary: 'Makes an organisation.',
      body: NewOrganisation,
      reply: Organisation,
      status: 201,
      codes: ['CONFLICT', 'CONNECTION_INVALID', 'CONNECTION_REFUSED_BY_POLICY'],
      vet: ({ body: { media_roots: roots } }) => checkMediaRoots(roots ?? [], settings),
      handle({ body, now }) {
        const { slug: chosen, name: given = chosen, media_roots: roots } = body
        return createOrganisation(catalog, { slug: chosen, name: given, mediaRoots: roots, now })
      },
    }),
    route({
      method: 'GET',
      path: one,
      role: 'viewer',
      summary: 'Shows an organisation.',
      reply: Organisation,
      handle: ({ id, actor }) => getOrganisation(catalog, id, actor.scope),
    }),
    route({
      method: 'PATCH',
      path: one,
      role: 'admin',
      summary: 'Changes an organisation.',
      body: Changes,
      reply: Organisation,
      codes: ['CONFLICT', 'CONNECTION_INVALID', 'CONNECTION_REFUSED_BY_POLICY'],
      async vet({ id, body: { media_roots: roots }, actor }) {
        await getOrganisation(catalog, id, actor.scope)
        requireWholeInstallation(actor, 'changing an organisation')
        await checkMediaRoots(roots ?? [], settings)
      },
      async handle({ id, body, actor }) {
        const { uuid } = await getOrganisation(catalog, id, actor.scope)
        const { media_roots: roots, ...changes } = body
        return updateOrganisation(catalog, uuid, { ...changes, mediaRoots: roots })
      },
    }),
  ]
}
