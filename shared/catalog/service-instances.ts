import { CofferError } from '../errors.ts'
import type { ServiceType } from '../domain/states.ts'
import { violatedConstraint, type Catalog, type Db } from './database.ts'
import { isUuid, type Page, type Scope } from './scope.ts'

/** A service instance as the API shows it: without its connection. */
export interface ServiceInstanceView {
  uuid: string
  environment: string
  type: ServiceType
  prefix: string
  /** Of Divio's API; one that is registered is there. The connection is missing after the catalog was rebuilt, until it is given again. */
  service_status: 'PROVISIONED' | 'CONNECTION_MISSING'
  created_at: Date
}

const FROM = `FROM service_instances si JOIN environments e ON e.id = si.environment_id
              JOIN applications a ON a.id = e.application_id`
const VIEW = `SELECT si.id AS uuid, si.environment_id AS environment, si.type, si.prefix, si.created_at,
                     CASE WHEN si.connection IS NULL THEN 'CONNECTION_MISSING' ELSE 'PROVISIONED' END AS service_status ${FROM}`
const IN_SCOPE = `si.deleted_at IS NULL AND e.deleted_at IS NULL AND a.deleted_at IS NULL
                  AND ($1::uuid IS NULL OR a.organisation_id = $1)`

export async function getServiceInstance(db: Db, id: string, scope: Scope): Promise<ServiceInstanceView> {
  const [row] = isUuid(id)
    ? await db.query<ServiceInstanceView>(`${VIEW} WHERE ${IN_SCOPE} AND si.id = $2`, [scope.organisationId, id])
    : []
  if (!row) throw new CofferError('NOT_FOUND', `there is no service instance ${id}`)
  return row
}

export interface ServiceInstanceFilter {
  scope: Scope
  environmentId?: string | undefined
  page: Page
}

export async function listServiceInstances(
  db: Db,
  { scope, environmentId, page }: ServiceInstanceFilter,
): Promise<{ rows: ServiceInstanceView[]; count: number }> {
  const where = `${IN_SCOPE} AND ($2::uuid IS NULL OR si.environment_id = $2)`
  const values = [scope.organisationId, environmentId ?? null]
  const rows = await db.query<ServiceInstanceView>(
    `${VIEW} WHERE ${where} ORDER BY a.slug, e.slug, si.type, si.prefix, si.id LIMIT $3 OFFSET $4`,
    [...values, page.limit, page.offset],
  )
  const [total] = await db.query<{ count: number }>(`SELECT count(*) ${FROM} WHERE ${where}`, values)
  return { rows, count: total?.count ?? 0 }
}

/** Which egress policy the connection is under: an organisation's admin reaches no private network that the operator has not named. */
export type Egress = 'installation' | 'organisation'

export interface NewServiceInstance {
  /** Given by the caller, since the encrypted connection is bound to it. */
  id: string
  environmentId: string
  type: ServiceType
  prefix: string
  connection: Buffer
  /** Whose admin registers the connection. Default: the whole installation's. */
  egress?: Egress
  scope: Scope
  now: Date
}

/** @throws CONFLICT (the environment has one of this type and prefix) */
export async function createServiceInstance(db: Db, input: NewServiceInstance): Promise<ServiceInstanceView> {
  await guardPrefix(input.prefix, () =>
    db.query(
      'INSERT INTO service_instances (id, environment_id, type, prefix, connection, created_at, egress) VALUES ($1, $2, $3, $4, $5, $6, $7)',
      [
        input.id,
        input.environmentId,
        input.type,
        input.prefix,
        input.connection,
        input.now,
        input.egress ?? 'installation',
      ],
    ),
  )
  return getServiceInstance(db, input.id, input.scope)
}

export interface ServiceInstanceChanges {
  prefix?: string | undefined
  connection?: Buffer | undefined
  /** Given with every connection. */
  egress?: Egress | undefined
}

/**
 * Takes effect with the next attempt.
 * @throws NOT_FOUND, CONFLICT (the environment has one of this type and prefix; a restore into its folder is under way or unfinished)
 */
export async function updateServiceInstance(
  catalog: Catalog,
  id: string,
  scope: Scope,
  { prefix, connection, egress }: ServiceInstanceChanges,
): Promise<ServiceInstanceView> {
  await getServiceInstance(catalog, id, scope)
  await guardPrefix(prefix ?? '', () =>
    catalog.transaction(async (tx) => {
      if (connection) await requireSettled(tx, id)
      await tx.query(
        `UPDATE service_instances SET prefix = coalesce($2, prefix), connection = coalesce($3, connection), egress = coalesce($4, egress)
          WHERE id = $1 AND deleted_at IS NULL`,
        [id, prefix ?? null, connection ?? null, egress ?? null],
      )
    }),
  )
  return getServiceInstance(catalog, id, scope)
}

/**
 * What a restore into a folder has left half done is found there only. A database is found again by its new password; a connection that a
 * rebuild has lost may always be given.
 */
async function requireSettled(tx: Db, id: string): Promise<void> {
  // The lock comes first, in a statement of its own, as when a restore is claimed: of the two, one begins.
  await tx.query('SELECT 1 FROM service_instances WHERE id = $1 FOR NO KEY UPDATE', [id])
  const [restore] = await tx.query<{ id: string }>(
    `SELECT r.restore_id AS id FROM service_instance_restores r JOIN service_instances si ON si.id = r.service_instance_id
      WHERE si.id = $1 AND si.type = 'STORAGE' AND si.connection IS NOT NULL
        AND (r.state = 'RUNNING' OR r.may_have_leftovers OR (r.state = 'QUEUED' AND r.safety_backup_id IS NOT NULL)) LIMIT 1`,
    [id],
  )
  if (!restore) return
  const message = `restore ${restore.id} into this folder is under way, or has left things there to settle: wait for it, or restore into it again`
  throw new CofferError('CONFLICT', message)
}

/** Its backups stay. @throws NOT_FOUND */
export async function deleteServiceInstance(db: Db, id: string, scope: Scope, now: Date): Promise<void> {
  await getServiceInstance(db, id, scope)
  await db.query('UPDATE service_instances SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL', [id, now])
}

async function guardPrefix(prefix: string, write: () => Promise<unknown>): Promise<void> {
  try {
    await write()
  } catch (cause) {
    if (violatedConstraint(cause) !== 'service_instances_prefix') throw cause
    throw new CofferError(
      'CONFLICT',
      `the environment has a service instance of this type with the prefix ${prefix} already`,
      { cause },
    )
  }
}
