import { z } from 'zod'
import { createPlan, deletePlan, getPlan, listPlans, updatePlan, type PlanView } from '../../shared/catalog/plans.ts'
import { NewPlan } from '../../shared/domain/new-plan.ts'
import { PlanDefinition } from '../../shared/domain/plan.ts'
import { changeOfPlan } from '../../shared/retention/preview.ts'
import { requireWholeInstallation } from '../auth.ts'
import { requireConfirmation } from '../confirmation.ts'
import { confirm, filterText } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { listReply, parseBody, parseListQuery } from '../requests.ts'
import type { Call, Reply, Route } from '../routes.ts'

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
export function planRoutes({ catalog, clock }: Producer): Route[] {
  const all = '/apps/v3/plans/'
  const one = `${all}:uuid/`
  const idOf = ({ params }: Call) => params['uuid'] ?? ''
  return [
    { method: 'GET', path: all, role: 'viewer', handle: list },
    {
      method: 'POST',
      path: all,
      role: 'admin',
      async handle(call) {
        requireWholeInstallation(call.actor, 'making a plan')
        return { status: 201, body: await createPlan(catalog, parseBody(NewPlan, call), clock()) }
      },
    },
    {
      method: 'GET',
      path: one,
      role: 'viewer',
      handle: async (call) => ({ status: 200, body: await getPlan(catalog, idOf(call)) }),
    },
    { method: 'PATCH', path: one, role: 'admin', handle: update },
    {
      method: 'DELETE',
      path: one,
      role: 'admin',
      async handle(call) {
        requireWholeInstallation(call.actor, 'deleting a plan')
        await deletePlan(catalog, idOf(call))
        return { status: 204 }
      },
    },
  ]

  async function list(call: Call): Promise<Reply> {
    const { filters, page } = parseListQuery({ slug: filterText.optional() }, call)
    const { rows, count } = await listPlans(catalog, { slug: filters.slug, page })
    return listReply(call, page, count, rows)
  }

  async function update(call: Call): Promise<Reply> {
    requireWholeInstallation(call.actor, 'changing a plan')
    const { confirm: digest, ...changes } = parseBody(Changes, call)
    const now = clock()
    const plan = await getPlan(catalog, idOf(call))
    const definition = changedPlan(plan, changes)
    if (changes.retention)
      requireConfirmation(await changeOfPlan(catalog, { planId: plan.uuid }, changes.retention, now), digest)
    return { status: 200, body: await updatePlan(catalog, plan.uuid, definition, now) }
  }
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
