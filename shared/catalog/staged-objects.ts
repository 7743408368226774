import type { Db } from './database.ts'

export interface StagedObject {
  id: string
  key: string
  storeUrl: string
}

// One that failed may be retried as long as the upload itself was to last.
const SPENT = `
  SELECT s.id, u.record ->> 'key' AS key, st.url AS "storeUrl"
    FROM uploads u JOIN service_instance_backups s ON s.id = u.service_instance_backup_id JOIN stores st ON st.id = u.store_id
   WHERE u.record IS NOT NULL AND s.state IN ('COMPLETED', 'DELETING', 'DELETED') AND (s.success <> 'FAILURE' OR u.expires_at <= $1)`

/** Staged objects that nobody needs any more, of one upload or of all. */
export const spentUploads = (db: Db, now: Date, id: string | null = null): Promise<StagedObject[]> =>
  db.query<StagedObject>(`${SPENT} AND ($2::uuid IS NULL OR s.id = $2) ORDER BY u.expires_at LIMIT 1000`, [now, id])

/** Call when the object is gone. May run twice. */
export async function forgetStaged(db: Db, { id, key }: StagedObject): Promise<void> {
  await db.query(`UPDATE uploads SET record = NULL WHERE service_instance_backup_id = $1 AND record ->> 'key' = $2`, [
    id,
    key,
  ])
}

/** Whether somebody needs this staged object: it counts, or may be being written. null: the catalog has never heard of its upload. */
export async function isStagedNeeded(db: Db, id: string, key: string): Promise<boolean | null> {
  const [row] = await db.query<{ needed: boolean }>(
    `SELECT coalesce(record ->> 'key' = $2, false) OR coalesce(writing_until >= now(), false) AS needed
       FROM uploads WHERE service_instance_backup_id = $1`,
    [id, key],
  )
  return row?.needed ?? null
}
