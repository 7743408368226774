import { randomUUID } from 'node:crypto'
import type { PlanDefinition } from '../domain/plan.ts'
import { DEFAULT_POLICY, RetentionPolicy } from '../domain/retention/policy.ts'
import { SHIPPED_PLANS } from '../domain/shipped-plans.ts'
import { DEFAULT_VERIFICATION, type VerificationPolicy } from '../domain/verification.ts'
import { CofferError } from '../errors.ts'
import { cronProblem } from '../schedules/due-times.ts'
import { violatedConstraint, type Catalog, type Db } from './database.ts'
import { syncSchedulesOfPlan } from './schedules.ts'
import { isUuid, type Page } from './scope.ts'

export interface PlanView extends Omit<PlanDefinition, 'verification' | 'expected_within_hours'> {
  uuid: string
  verification: VerificationPolicy
  expected_within_hours: number | null
  /** Came with Coffer. It can be changed, not deleted. */
  is_shipped: boolean
  created_at: Date
}

const VIEW = `SELECT id AS uuid, slug, name, schedules, policies AS retention, verification, expected_within_hours, is_shipped, created_at
                FROM plans`

/** Makes the shipped plans that aren't there. What an operator has made of them stays. May run twice, also at the same time. */
export async function ensureShippedPlans(catalog: Catalog, now: Date): Promise<void> {
  for (const plan of SHIPPED_PLANS)
    await catalog.transaction(async (tx) => {
      // A row of Coffer's first version has the name only.
      const [made] = await tx.query<{ id: string }>(
        `INSERT INTO plans (id, slug, name, schedules, policies, is_shipped, created_at) VALUES ($1, $2, $3, $4, $5, true, $6)
         ON CONFLICT (slug) DO UPDATE SET name = excluded.name, schedules = excluded.schedules, policies = excluded.policies,
            is_shipped = true WHERE plans.policies = '{}' RETURNING id`,
        [randomUUID(), plan.slug, plan.name, JSON.stringify(plan.schedules), JSON.stringify(plan.retention), now],
      )
      if (made) await syncSchedulesOfPlan(tx, made.id, now)
    })
}

export async function listPlans(
  db: Db,
  { slug, page }: { slug?: string | undefined; page: Page },
): Promise<{ rows: PlanView[]; count: number }> {
  const where = 'WHERE ($1::text IS NULL OR slug = $1)'
  const rows = await db.query<PlanView>(`${VIEW} ${where} ORDER BY slug LIMIT $2 OFFSET $3`, [
    slug ?? null,
    page.limit,
    page.offset,
  ])
  const [total] = await db.query<{ count: number }>(`SELECT count(*) FROM plans ${where}`, [slug ?? null])
  return { rows, count: total?.count ?? 0 }
}

/** @throws NOT_FOUND */
export async function getPlan(db: Db, idOrSlug: string): Promise<PlanView> {
  // PostgreSQL can't even compare text with NUL.
  const [row] = idOrSlug.includes('\0')
    ? []
    : await db.query<PlanView>(`${VIEW} WHERE ${isUuid(idOrSlug) ? 'id' : 'slug'} = $1`, [idOrSlug])
  if (!row) throw new CofferError('NOT_FOUND', `there is no plan ${idOrSlug}`)
  return row
}

/** @throws REQUEST_INVALID (a cron), CONFLICT (the slug is taken) */
export async function createPlan(catalog: Catalog, definition: PlanDefinition, now: Date): Promise<PlanView> {
  checkCrons(definition)
  const id = randomUUID()
  await guardSlug(definition, () =>
    catalog.query(
      `INSERT INTO plans (id, slug, name, schedules, policies, verification, expected_within_hours, created_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
      [id, ...columnsOf(definition), now],
    ),
  )
  return getPlan(catalog, id)
}

/**
 * The schedules of its environments follow at once; backups that were made under the old ones stay as they are.
 * @throws NOT_FOUND, REQUEST_INVALID (a cron), CONFLICT (the slug is taken)
 */
export async function updatePlan(
  catalog: Catalog,
  id: string,
  definition: PlanDefinition,
  now: Date,
): Promise<PlanView> {
  checkCrons(definition)
  return guardSlug(definition, () =>
    catalog.transaction(async (tx) => {
      const { uuid } = await getPlan(tx, id)
      await tx.query(
        `UPDATE plans SET slug = $2, name = $3, schedules = $4, policies = $5, verification = $6, expected_within_hours = $7
          WHERE id = $1`,
        [uuid, ...columnsOf(definition)],
      )
      await syncSchedulesOfPlan(tx, uuid, now)
      return getPlan(tx, uuid)
    }),
  )
}

/** @throws NOT_FOUND, CONFLICT (an environment uses it, also one that was deleted; or it is shipped) */
export async function deletePlan(catalog: Catalog, id: string): Promise<void> {
  const plan = await getPlan(catalog, id)
  if (plan.is_shipped)
    throw new CofferError('CONFLICT', `the plan ${plan.slug} came with Coffer and can't be deleted; it can be changed`)
  const [used] = await catalog.query<{ count: number }>('SELECT count(*) FROM environments WHERE plan_id = $1', [
    plan.uuid,
  ])
  const inUse = (many: string, cause?: unknown) =>
    new CofferError('CONFLICT', `the plan ${plan.slug} is used by ${many}, and rules the backups of deleted ones too`, {
      cause,
    })
  if (used && used.count > 0) throw inUse(`${used.count} environment(s)`)
  try {
    await catalog.query('DELETE FROM plans WHERE id = $1', [plan.uuid])
  } catch (cause) {
    // An environment got it meanwhile.
    if (cause instanceof Error && 'constraint' in cause && cause.constraint === 'environments_plan_id_fkey')
      throw inUse('an environment', cause)
    throw cause
  }
}

/** What rules the backups of an environment, also of a deleted one: its plan's policy, without a plan the default one. @throws PLAN_INVALID */
export async function policyOf(db: Db, environmentId: string): Promise<RetentionPolicy> {
  const [plan] = await db.query<{ slug: string; policies: unknown }>(
    'SELECT p.slug, p.policies FROM environments e JOIN plans p ON p.id = e.plan_id WHERE e.id = $1',
    [environmentId],
  )
  if (!plan) return DEFAULT_POLICY
  const parsed = RetentionPolicy.safeParse(plan.policies)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map(({ path, message }) => `${path.map(String).join('.')}: ${message}`)
  throw new CofferError('PLAN_INVALID', `the plan ${plan.slug} has no valid retention policy: ${problems.join('; ')}`)
}

const columnsOf = ({
  slug,
  name,
  schedules,
  retention,
  verification,
  expected_within_hours: hours,
}: PlanDefinition) => [
  slug,
  name,
  JSON.stringify(schedules),
  JSON.stringify(retention),
  JSON.stringify(verification ?? DEFAULT_VERIFICATION),
  hours ?? null,
]

function checkCrons({ slug, schedules }: PlanDefinition): void {
  const errors = schedules.flatMap((rule, index) => {
    const message = rule.kind === 'cron' ? cronProblem(rule.cron) : null
    return message === null ? [] : [{ field: `schedules.${index}.cron`, message }]
  })
  if (errors.length === 0) return
  const shown = errors.map(({ field, message }) => `${field}: ${message}`).join('; ')
  throw new CofferError('REQUEST_INVALID', `the plan ${slug} is not valid: ${shown}`, { details: { errors } })
}

async function guardSlug<T>({ slug }: PlanDefinition, write: () => Promise<T>): Promise<T> {
  try {
    return await write()
  } catch (cause) {
    if (violatedConstraint(cause) !== 'plans_slug_key') throw cause
    throw new CofferError('CONFLICT', `there is a plan with the slug ${slug} already`, { cause })
  }
}
