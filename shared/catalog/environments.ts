import { randomUUID } from 'node:crypto'
import { CofferError } from '../errors.ts'
import { sqlState, violatedConstraint, type Catalog, type Db } from './database.ts'
import { syncSchedules } from './schedules.ts'
import { isUuid, type Page, type Scope } from './scope.ts'

/** An environment as the API shows it. `store`: its own, or else the one that is the default now; null when there is none at all. */
export interface EnvironmentView {
  uuid: string
  slug: string
  application: string
  plan: string | null
  timezone: string
  store: string | null
  /** A guard has stopped its pruning, until a person allows it again; null: it goes on. */
  pruning_stopped: { reason: string; at: string } | null
  /** Of Divio's API; Coffer knows no deployments. */
  last_finished_deployment: null
  created_at: Date
}

const FROM = 'FROM environments e JOIN applications a ON a.id = e.application_id'
const VIEW = `SELECT e.id AS uuid, e.slug, e.application_id AS application, e.plan_id AS plan, e.timezone,
                     coalesce(e.store_id, (SELECT id FROM stores WHERE is_default)) AS store,
                     CASE WHEN e.pruning_stopped_at IS NULL THEN NULL
                          ELSE jsonb_build_object('reason', e.pruning_stopped_reason, 'at', e.pruning_stopped_at) END AS pruning_stopped,
                     NULL AS last_finished_deployment, e.created_at ${FROM}`
const IN_SCOPE = 'e.deleted_at IS NULL AND a.deleted_at IS NULL AND ($1::uuid IS NULL OR a.organisation_id = $1)'

export async function getEnvironment(db: Db, id: string, scope: Scope): Promise<EnvironmentView> {
  const [row] = isUuid(id)
    ? await db.query<EnvironmentView>(`${VIEW} WHERE ${IN_SCOPE} AND e.id = $2`, [scope.organisationId, id])
    : []
  if (!row) throw new CofferError('NOT_FOUND', `there is no environment ${id}`)
  return row
}

export interface EnvironmentFilter {
  scope: Scope
  applicationId?: string | undefined
  slug?: string | undefined
  page: Page
}

export async function listEnvironments(
  db: Db,
  { scope, applicationId, slug, page }: EnvironmentFilter,
): Promise<{ rows: EnvironmentView[]; count: number }> {
  const where = `${IN_SCOPE} AND ($2::uuid IS NULL OR e.application_id = $2) AND ($3::text IS NULL OR e.slug = $3)`
  const values = [scope.organisationId, applicationId ?? null, slug ?? null]
  const rows = await db.query<EnvironmentView>(
    `${VIEW} WHERE ${where} ORDER BY a.slug, e.slug, e.id LIMIT $4 OFFSET $5`,
    [...values, page.limit, page.offset],
  )
  const [total] = await db.query<{ count: number }>(`SELECT count(*) ${FROM} WHERE ${where}`, values)
  return { rows, count: total?.count ?? 0 }
}

export interface NewEnvironment {
  applicationId: string
  slug: string
  planId: string | null
  storeId: string | null
  timezone: string
  scope: Scope
  now: Date
}

/** Its schedules are those of its plan. @throws NOT_FOUND (plan, store), CONFLICT (the slug is taken), REQUEST_INVALID (time zone) */
export async function createEnvironment(catalog: Catalog, input: NewEnvironment): Promise<EnvironmentView> {
  const id = randomUUID()
  await guard(catalog, input, async (tx) => {
    await tx.query(
      `INSERT INTO environments (id, application_id, slug, plan_id, store_id, timezone, created_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7)`,
      [id, input.applicationId, input.slug, input.planId, input.storeId, input.timezone, input.now],
    )
    await syncSchedules(tx, id, input.now)
  })
  return getEnvironment(catalog, id, input.scope)
}

/** A field that is undefined stays as it is; `planId` and `storeId` null: none of its own. */
export interface EnvironmentChanges {
  slug?: string | undefined
  planId?: string | null | undefined
  storeId?: string | null | undefined
  timezone?: string | undefined
}

/** Its schedules follow plan and zone. @throws NOT_FOUND (it, plan, store), CONFLICT (the slug is taken), REQUEST_INVALID (time zone) */
export async function updateEnvironment(
  catalog: Catalog,
  id: string,
  scope: Scope,
  changes: EnvironmentChanges,
  now: Date,
): Promise<EnvironmentView> {
  await getEnvironment(catalog, id, scope)
  const { slug, planId, storeId, timezone } = changes
  await guard(catalog, changes, async (tx) => {
    await tx.query(
      `UPDATE environments SET slug = coalesce($2, slug), timezone = coalesce($3, timezone),
              plan_id = CASE WHEN $4 THEN $5::uuid ELSE plan_id END, store_id = CASE WHEN $6 THEN $7::uuid ELSE store_id END
        WHERE id = $1 AND deleted_at IS NULL`,
      [
        id,
        slug ?? null,
        timezone ?? null,
        planId !== undefined,
        planId ?? null,
        storeId !== undefined,
        storeId ?? null,
      ],
    )
    await syncSchedules(tx, id, now)
  })
  return getEnvironment(catalog, id, scope)
}

/** Its service instances go out of sight with it, and its schedules stop; its backups stay. @throws NOT_FOUND */
export async function deleteEnvironment(db: Db, id: string, scope: Scope, now: Date): Promise<void> {
  await getEnvironment(db, id, scope)
  await db.query('UPDATE environments SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL', [id, now])
}

const FOREIGN_KEYS: Record<string, 'plan' | 'store'> = {
  environments_plan_id_fkey: 'plan',
  environments_store_id_fkey: 'store',
}
const INVALID_PARAMETER = '22023'

async function guard(catalog: Catalog, input: EnvironmentChanges, write: (tx: Db) => Promise<void>): Promise<void> {
  try {
    // The database computes local hours with it, and its list of zones is not the one of this process.
    await catalog.query('SELECT now() AT TIME ZONE $1', [input.timezone ?? 'UTC'])
    await catalog.transaction(write)
  } catch (cause) {
    throw explain(cause, input)
  }
}

function explain(cause: unknown, { slug, timezone, planId, storeId }: EnvironmentChanges): unknown {
  if (sqlState(cause) === INVALID_PARAMETER)
    return new CofferError('REQUEST_INVALID', `the catalog database does not know the time zone ${timezone ?? ''}`, {
      cause,
      details: { field: 'timezone' },
    })
  if (violatedConstraint(cause) === 'environments_slug')
    return new CofferError('CONFLICT', `the application has an environment with the slug ${slug ?? ''} already`, {
      cause,
    })
  const constraint = cause instanceof Error && 'constraint' in cause ? String(cause.constraint) : ''
  const missing = FOREIGN_KEYS[constraint]
  if (missing === undefined) return cause
  return new CofferError('NOT_FOUND', `there is no ${missing} ${(missing === 'plan' ? planId : storeId) ?? ''}`, {
    cause,
  })
}
