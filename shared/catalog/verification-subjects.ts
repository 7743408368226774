import type { ArtifactRecord } from '../domain/artifact.ts'
import type { ServiceType } from '../domain/states.ts'
import type { Db } from './database.ts'

/** A sealed service-instance backup, as the catalog has it. */
export interface VerificationSubject {
  id: string
  backupId: string
  attempt: number
  environmentId: string
  serviceInstanceId: string
  serviceType: ServiceType
  prefix: string
  storeUrl: string
  /** Ends with '/'. */
  keyPrefix: string
  /** The manifest's own text, as it was sealed. */
  manifest: string
  artifacts: ArtifactRecord[]
  /** How long it took. */
  seconds: number
}

const SUBJECT = `
  SELECT s.id, s.backup_id AS "backupId", s.attempt, b.environment_id AS "environmentId", s.service_instance_id AS "serviceInstanceId",
         i.type AS "serviceType", i.prefix, st.url AS "storeUrl", s.key_prefix AS "keyPrefix", s.manifest,
         coalesce(extract(epoch FROM s.ended_at - s.started_at), 0)::float AS seconds,
         coalesce((SELECT jsonb_agg(record ORDER BY kind) FROM artifacts
                    WHERE service_instance_backup_id = s.id AND attempt = s.attempt), '[]') AS artifacts
    FROM service_instance_backups s
    JOIN backups b ON b.id = s.backup_id
    JOIN service_instances i ON i.id = s.service_instance_id
    JOIN stores st ON st.id = s.store_id
   WHERE s.state = 'COMPLETED' AND s.success IN ('SUCCESS', 'PARTIAL') AND s.manifest IS NOT NULL`

/** null: it is not sealed, or is being deleted. */
export async function findSubject(db: Db, id: string): Promise<VerificationSubject | null> {
  const [row] = await db.query<VerificationSubject>(`${SUBJECT} AND s.id = $1`, [id])
  return row ?? null
}

/** Of an environment, by id, from after `after` on; without those whose manifest nobody has accepted yet. */
export const listSubjects = (
  db: Db,
  environmentId: string,
  { after, limit }: { after: string; limit: number },
): Promise<VerificationSubject[]> =>
  db.query<VerificationSubject>(
    `${SUBJECT} AND s.unverified_at IS NULL AND b.environment_id = $1 AND s.id > $2 ORDER BY s.id LIMIT $3`,
    [environmentId, after, limit],
  )
