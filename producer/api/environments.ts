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
import { list, route, type Asked } from '../define-route.ts'
import { confirm, filterText, filterUuid, slug, timezone, uuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { Environment } from '../replies/tree.ts'
import type { Route } from '../routes.ts'

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
const filters = { application: filterUuid.optional(), slug: filterText.optional() }

export function environmentRoutes({ catalog, ringer }: Producer): Route[] {
  const all = '/apps/v3/environments/'
  const one = `${all}:uuid/`
  return [
    list({
      path: all,
      role: 'viewer',
      summary: 'Lists environments.',
      filters,
      of: Environment,
      rows: ({ actor: { scope }, query, page }) =>
        listEnvironments(catalog, { scope, applicationId: query.application, slug: query.slug, page }),
    }),
    route({
      method: 'POST',
      path: all,
      role: 'admin',
      summary: 'Registers an environment of an application.',
      body: NewEnvironment,
      reply: Environment,
      status: 201,
      codes: ['NOT_FOUND', 'CONFLICT'],
      async handle({ body, actor: { scope }, now }) {
        const { uuid: applicationId } = await getApplication(catalog, body.application, scope)
        const { slug: chosen, store: storeId, timezone: zone } = body
        const planId = body.plan === undefined ? (await getPlan(catalog, DEFAULT_SLUG)).uuid : body.plan
        return createEnvironment(catalog, {
          applicationId,
          slug: chosen,
          planId,
          storeId,
          timezone: zone,
          scope,
          now,
        })
      },
    }),
    route({
      method: 'GET',
      path: one,
      role: 'viewer',
      summary: 'Shows an environment.',
      reply: Environment,
      handle: ({ id, actor }) => getEnvironment(catalog, id, actor.scope),
    }),
    route({
      method: 'PATCH',
      path: one,
      role: 'admin',
      summary: 'Changes an environment; another plan that deletes more wants to be confirmed.',
      body: Changes,
      reply: Environment,
      codes: ['CONFLICT', 'CONFIRMATION_REQUIRED'],
      handle: update,
    }),
    route({
      method: 'DELETE',
      path: one,
      role: 'admin',
      summary: 'Removes an environment; its backups are kept.',
      reply: null,
      codes: ['CONFLICT'],
      async handle({ id, actor, now }) {
        await deleteEnvironment(catalog, id, actor.scope, now)
      },
    }),
    route({
      method: 'POST',
      path: `${one}resume-pruning/`,
      role: 'admin',
      summary: 'Allows the deletions again that a guard has stopped.',
      reply: Environment,
      codes: ['CONFLICT'],
      async handle({ id: asked, actor, now }) {
        const { uuid: id } = await getEnvironment(catalog, asked, actor.scope)
        await resumePruning(catalog, id, actor.scope, now)
        ringer.nudge()
        return getEnvironment(catalog, id, actor.scope)
      },
    }),
  ]

  async function update({ id: asked, actor, body, now }: Asked<z.infer<typeof Changes>, unknown>) {
    const { plan: planId, store: storeId, confirm: digest, ...changes } = body
    const { scope } = actor
    const { uuid: id } = await getEnvironment(catalog, asked, scope)
    if (planId !== undefined) {
      const policy = planId === null ? DEFAULT_POLICY : (await getPlan(catalog, planId)).retention
      requireConfirmation(await changeOfPlan(catalog, { environmentId: id }, policy, now), digest)
    }
    return updateEnvironment(catalog, id, scope, { ...changes, planId, storeId }, now)
  }
}
