import { decryptConnection, encryptConnection } from '../connections.ts'
import type { Secrets } from '../secrets.ts'
import type { Catalog, Db } from './database.ts'
import { DEFAULT_SLUG } from './organisations.ts'
import { isUuid, type Scope } from './scope.ts'
import { syncSchedules } from './schedules.ts'

/** The same in every installation, so that a rebuilt catalog finds the backups of the lost one where its own belong. */
export const OWN = {
  organisation: 'c0ffee00-0000-4000-8000-000000000001',
  application: 'c0ffee00-0000-4000-8000-000000000002',
  environment: 'c0ffee00-0000-4000-8000-000000000003',
  serviceInstance: 'c0ffee00-0000-4000-8000-000000000004',
} as const

export interface OwnBackup {
  secrets: Secrets
  /** The catalog's own address. */
  url: string
  /** Off: its environment goes out of sight and its schedules stop; the backups stay under their policy. */
  isOn: boolean
  now: Date
}

/**
 * Lets Coffer back up its own catalog as any other database: application `coffer`, environment `catalog`, plan `default`, in an
 * organisation of its own, which no token of another sees. What an operator has made of plan and store stays. May run twice, also at the
 * same time.
 */
export async function ensureOwnBackup(catalog: Catalog, { secrets, url, isOn, now }: OwnBackup): Promise<void> {
  await catalog.transaction(async (tx) => {
    await tx.query('LOCK TABLE organisations IN SHARE ROW EXCLUSIVE MODE')
    if (!isOn) return switchOff(tx, now)
    await ensureNames(tx, now)
    await ensureConnection(tx, secrets, url, now)
  })
}

/** Whether it is a backup of the catalog itself, which holds what every organisation has. false also for who can't see it. */
export async function isOwnBackup(db: Db, backupId: string, scope: Scope): Promise<boolean> {
  if (!isUuid(backupId) || (scope.organisationId !== null && scope.organisationId !== OWN.organisation)) return false
  const rows = await db.query('SELECT id FROM backups WHERE id = $1 AND environment_id = $2', [
    backupId,
    OWN.environment,
  ])
  return rows.length > 0
}

async function switchOff(tx: Db, now: Date): Promise<void> {
  const [row] = await tx.query(
    'UPDATE environments SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL RETURNING id',
    [OWN.environment, now],
  )
  if (row) await syncSchedules(tx, OWN.environment, now)
}

async function ensureNames(tx: Db, now: Date): Promise<void> {
  await tx.query(
    `INSERT INTO organisations (id, slug, name, created_at)
     SELECT $1, CASE WHEN EXISTS (SELECT 1 FROM organisations WHERE slug = 'coffer') THEN 'coffer-catalog' ELSE 'coffer' END, 'Coffer', $2
         ON CONFLICT (id) DO NOTHING`,
    [OWN.organisation, now],
  )
  await tx.query(
    `INSERT INTO applications (id, organisation_id, slug, name, created_at) VALUES ($1, $2, 'coffer', 'Coffer itself', $3)
         ON CONFLICT (id) DO UPDATE SET deleted_at = NULL`,
    [OWN.application, OWN.organisation, now],
  )
  const [changed] = await tx.query(
    `INSERT INTO environments (id, application_id, slug, plan_id, timezone, created_at)
     VALUES ($1, $2, 'catalog', (SELECT id FROM plans WHERE slug = $3), 'UTC', $4)
         ON CONFLICT (id) DO UPDATE SET deleted_at = NULL WHERE environments.deleted_at IS NOT NULL RETURNING id`,
    [OWN.environment, OWN.application, DEFAULT_SLUG, now],
  )
  if (changed) await syncSchedules(tx, OWN.environment, now)
}

async function ensureConnection(tx: Db, secrets: Secrets, url: string, now: Date): Promise<void> {
  const id = OWN.serviceInstance
  const [known] = await tx.query<{ connection: Buffer | null }>(
    'SELECT connection FROM service_instances WHERE id = $1 AND deleted_at IS NULL',
    [id],
  )
  if (known && addressIn(secrets, id, known.connection) === url) return
  await tx.query(
    `INSERT INTO service_instances (id, environment_id, type, prefix, connection, created_at)
     VALUES ($1, $2, 'DATABASE', 'DEFAULT', $3, $4)
         ON CONFLICT (id) DO UPDATE SET connection = excluded.connection, deleted_at = NULL`,
    [id, OWN.environment, encryptConnection(secrets, id, { url }), now],
  )
}

/** null: there is none, or another secret key has written it. */
function addressIn(secrets: Secrets, id: string, box: Buffer | null): string | null {
  try {
    return decryptConnection(secrets, id, box).url
  } catch {
    return null
  }
}
