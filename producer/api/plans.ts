import { z } from 'zod'
import { createPlan, deletePlan, getPlan, listPlans, updatePlan, type PlanView } from '../../shared/catalog/plans.ts'
import { NewPlan } from '../../shared/domain/new-plan.ts'
import { PlanDefinition } from '../../shared/domain/plan.ts'
import { changeOfPlan } from '../../shared/retention/preview.ts'
import { requireConfirmation } from '../confirmation.ts'
import { list, route } from '../define-route.ts'
import { confirm, filterText } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { Plan } from '../replies/keeping.ts'
import type { Route } from '../routes.ts'

const { name, schedules, retention, verification, expected_within_hours } = PlanDefinition.shape
const Changes = z.strictObject({
  name: name.optional(),
  schedules: schedules.optional(),
  retention: retention.optional(),
  verification,
  expected_within_hours: expected_within_hours.nullable(),
  confirm: confirm.optional(),
})

/** Every organisation sees and uses the same plans, so only an admin of the whole installation changes them. */
export function planRoutes({ catalog }: Producer): Route[] {
  const all = '/apps/v3/plans/'
  const one = `${all}:uuid/`
  return [
    list({
      path: all,
      role: 'viewer',
      summary: 'Lists plans.',
      filters: { slug: filterText.optional() },
      of: Plan,
      rows: ({ query, page }) => listPlans(catalog, { slug: query.slug, page }),
    }),
    route({
      method: 'POST',
      path: all,
      role: 'admin',
      concernsAll: 'making a plan',
      summary: 'Makes a plan: when environments are backed up, what is kept and how it is verified.',
      body: NewPlan,
      reply: Plan,
      status: 201,
      codes: ['CONFLICT'],
      async handle({ body, now }) {
        return createPlan(catalog, body, now)
      },
    }),
    route({
      method: 'GET',
      path: one,
      role: 'viewer',
      summary: 'Shows a plan.',
      reply: Plan,
      handle: ({ id }) => getPlan(catalog, id),
    }),
    route({
      method: 'PATCH',
      path: one,
      role: 'admin',
      concernsAll: 'changing a plan',
      summary: 'Changes a plan; a change that deletes more wants to be confirmed.',
      body: Changes,
      reply: Plan,
      codes: ['CONFLICT', 'CONFIRMATION_REQUIRED'],
      async handle({ id, body, now }) {
        const { confirm: digest, ...changes } = body
        const plan = await getPlan(catalog, id)
        const definition = changedPlan(plan, changes)
        if (changes.retention)
          requireConfirmation(await changeOfPlan(catalog, { planId: plan.uuid }, changes.retention, now), digest)
        return updatePlan(catalog, plan.uuid, definition, now)
      },
    }),
    route({
      method: 'DELETE',
      path: one,
      role: 'admin',
      concernsAll: 'deleting a plan',
      summary: 'Removes a plan that no environment has.',
      reply: null,
      codes: ['CONFLICT'],
      async handle({ id }) {
        await deletePlan(catalog, id)
      },
    }),
  ]
}

function changedPlan(plan: PlanView, changes: Omit<z.infer<typeof Changes>, 'confirm'>): PlanDefinition {
  const { expected_within_hours: hours = plan.expected_within_hours } = changes
  return {
    slug: plan.slug,
    name: changes.name ?? plan.name,
    schedules: changes.schedules ?? plan.schedules,
    retention: changes.retention ?? plan.retention,
    verification: changes.verification ?? plan.verification,
    ...(hours === null ? {} : { expected_within_hours: hours }),
  }
}
