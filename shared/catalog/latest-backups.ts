import type { ServiceType } from '../domain/states.ts'
import { CofferError } from '../errors.ts'
import type { Db } from './database.ts'
import { GOOD } from './good.ts'
import { getEnvironment } from './environments.ts'
import type { Scope } from './scope.ts'

/** The newest good backup of a service instance; what it has none of is null. Size in bytes, stored. */
interface LatestPart {
  service_instance: string
  service_type: ServiceType
  prefix: string
  service_instance_backup: string | null
  backup: string | null
  /** When it was due, or asked for. */
  at: Date | null
  taken_at: Date | null
  size: number | null
}

export interface LatestView {
  environment: string
  /** The newest one that has a good part for every service instance that there is now. */
  backup: string | null
  service_instances: LatestPart[]
}

const AT = 'coalesce(b.due_at, b.created_at)'

// One with a deletion date of its own is somebody's for a while, and what was there before a restore is what nobody wanted.
const COUNTS = `${GOOD('s')} AND b.policy_class IN ('scheduled', 'on_demand')`

/** @throws NOT_FOUND that says why: no such environment, nothing to back up, or nothing good */
export async function latestBackups(db: Db, environmentId: string, scope: Scope): Promise<LatestView> {
  const { uuid } = await getEnvironment(db, environmentId, scope)
  const parts = await db.query<LatestPart>(
    `SELECT i.id AS service_instance, i.type AS service_type, i.prefix, n.*
       FROM service_instances i
       LEFT JOIN LATERAL (
         SELECT s.id AS service_instance_backup, b.id AS backup, ${AT} AS at, s.taken_at, s.stored_size AS size
           FROM service_instance_backups s JOIN backups b ON b.id = s.backup_id
          WHERE s.service_instance_id = i.id AND ${COUNTS} ORDER BY ${AT} DESC, s.id LIMIT 1) n ON true
      WHERE i.environment_id = $1 AND i.deleted_at IS NULL ORDER BY i.type, i.prefix`,
    [uuid],
  )
  if (parts.length === 0) throw new CofferError('NOT_FOUND', `environment ${uuid} has no service instance to back up`)
  if (parts.every((part) => part.backup === null))
    throw new CofferError('NOT_FOUND', `environment ${uuid} has no good backup`)
  return { environment: uuid, backup: await latestWhole(db, uuid), service_instances: parts }
}

async function latestWhole(db: Db, environmentId: string): Promise<string | null> {
  const [row] = await db.query<{ id: string }>(
    `SELECT b.id FROM backups b WHERE b.environment_id = $1
        AND NOT EXISTS (SELECT 1 FROM service_instances i WHERE i.environment_id = $1 AND i.deleted_at IS NULL
                           AND NOT EXISTS (SELECT 1 FROM service_instance_backups s
                                            WHERE s.backup_id = b.id AND s.service_instance_id = i.id AND ${COUNTS}))
      ORDER BY ${AT} DESC, b.id LIMIT 1`,
    [environmentId],
  )
  return row?.id ?? null
}
