import type { Manifest } from '../domain/manifest.ts'
import { CofferError } from '../errors.ts'
import { sqlState, type Db } from './database.ts'

/** Where a backup belongs, and what was made for it because the catalog did not know it. */
export interface Owner {
  environmentId: string
  serviceInstanceId: string
  made: Made
}

export interface Made {
  organisations: number
  applications: number
  environments: number
  service_instances: number
}

export const NOTHING_MADE: Made = { organisations: 0, applications: 0, environments: 0, service_instances: 0 }

const FOREIGN_KEY_VIOLATION = '23503'

/**
 * Organisation, application, environment and service instance that a manifest names, by their ids; what the catalog lacks is made, without
 * plan and connection, since no manifest has them. A name that something else has by now gets the beginning of its id appended.
 * @param storeId where the environment's backups go from now on; null: to the default store
 * @throws CONFLICT when an id belongs to something that can't be meant
 */
export async function ensureOwner(tx: Db, manifest: Manifest, storeId: string | null, now: Date): Promise<Owner> {
  const made = { ...NOTHING_MADE }
  const organisationId = await ensureOrganisation(tx, manifest, made, now)
  await ensureApplication(tx, manifest, organisationId, made, now)
  await ensureEnvironment(tx, manifest, storeId, made, now)
  await ensureServiceInstance(tx, manifest, made, now)
  return {
    environmentId: manifest.environment.id,
    serviceInstanceId: manifest.service_instance_backup.service_instance,
    made,
  }
}

/** A producer makes the organisation `default` before anybody can rebuild: as long as nothing belongs to it, it takes the id that it had. */
async function ensureOrganisation(
  tx: Db,
  { organisation: { id, slug, name } }: Manifest,
  made: Made,
  now: Date,
): Promise<string> {
  if (await exists(tx, 'organisations', id)) return id
  const [namesake] = await tx.query<{ id: string }>('SELECT id FROM organisations WHERE slug = $1', [slug])
  if (!namesake) {
    // Which folders its admins may register, no manifest says: none, until somebody says so.
    await tx.query(
      `INSERT INTO organisations (id, slug, name, created_at, media_roots) VALUES ($1, $2, $3, $4, '{}')`,
      [id, slug, name, now],
    )
    made.organisations++
    return id
  }
  await tx.query('SAVEPOINT organisation')
  try {
    await tx.query('UPDATE organisations SET id = $2, name = $3 WHERE id = $1', [namesake.id, id, name])
    await tx.query('RELEASE organisation')
    return id
  } catch (error) {
    await tx.query('ROLLBACK TO organisation')
    if (sqlState(error) !== FOREIGN_KEY_VIOLATION) throw error
    return namesake.id
  }
}

async function ensureApplication(
  tx: Db,
  { application: { id, slug, name } }: Manifest,
  organisationId: string,
  made: Made,
  now: Date,
): Promise<void> {
  if (await exists(tx, 'applications', id)) return
  const taken = await tx.query(
    'SELECT 1 FROM applications WHERE organisation_id = $1 AND slug = $2 AND deleted_at IS NULL',
    [organisationId, slug],
  )
  await tx.query('INSERT INTO applications (id, organisation_id, slug, name, created_at) VALUES ($1, $2, $3, $4, $5)', [
    id,
    organisationId,
    taken.length > 0 ? otherSlug(slug, id) : slug,
    name,
    now,
  ])
  made.applications++
}

async function ensureEnvironment(
  tx: Db,
  { application, environment: { id, slug, timezone } }: Manifest,
  storeId: string | null,
  made: Made,
  now: Date,
): Promise<void> {
  if (await exists(tx, 'environments', id)) return
  const taken = await tx.query(
    'SELECT 1 FROM environments WHERE application_id = $1 AND slug = $2 AND deleted_at IS NULL',
    [application.id, slug],
  )
  await tx.query(
    'INSERT INTO environments (id, application_id, slug, store_id, timezone, created_at) VALUES ($1, $2, $3, $4, $5, $6)',
    [id, application.id, taken.length > 0 ? otherSlug(slug, id) : slug, storeId, timezone, now],
  )
  made.environments++
}

async function ensureServiceInstance(
  tx: Db,
  { environment, service_instance_backup: part }: Manifest,
  made: Made,
  now: Date,
): Promise<void> {
  const { service_instance: id, service_type: type, prefix } = part
  const [known] = await tx.query<{ type: string; environment_id: string }>(
    'SELECT type, environment_id FROM service_instances WHERE id = $1',
    [id],
  )
  if (known && (known.type !== type || known.environment_id !== environment.id))
    throw new CofferError('CONFLICT', `service instance ${id} is a ${known.type} of another environment`)
  if (known) return
  const taken = await tx.query(
    'SELECT 1 FROM service_instances WHERE environment_id = $1 AND type = $2 AND prefix = $3 AND deleted_at IS NULL',
    [environment.id, type, prefix],
  )
  const free = taken.length > 0 ? `${prefix.slice(0, 23)}_${id.slice(0, 8).toUpperCase()}` : prefix
  await tx.query(
    'INSERT INTO service_instances (id, environment_id, type, prefix, connection, created_at) VALUES ($1, $2, $3, $4, NULL, $5)',
    [id, environment.id, type, free, now],
  )
  made.service_instances++
}

const otherSlug = (slug: string, id: string) => `${slug.slice(0, 54)}-${id.slice(0, 8)}`

const exists = async (tx: Db, table: 'organisations' | 'applications' | 'environments', id: string): Promise<boolean> =>
  (await tx.query(`SELECT 1 FROM ${table} WHERE id = $1`, [id])).length > 0
