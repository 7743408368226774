import { randomUUID } from 'node:crypto'
import type { KeyParts } from '../domain/keys.ts'
import type { Db } from './database.ts'
import type { Fence } from './runs.ts'

/** An attempt that was left unfinished, now held by the settler. */
export interface LapsedRun extends Fence {
  state: 'RUNNING' | 'SEALING'
  /** What it was about to write, if it came so far: then the object may lie in the store. */
  manifest: string | null
  keyPrefix: string
  storeUrl: string
}

/**
 * Takes over every run whose lease has lapsed: from here on its former owner can neither renew nor seal.
 * Taking over is itself a lease, so that a settler that dies is followed by another. Its owner's name is new each time: a process may
 * settle its own run, which may still be alive.
 */
export async function takeOverLapsedRuns(db: Db, leaseSeconds: number): Promise<LapsedRun[]> {
  return db.query<LapsedRun>(
    `UPDATE leases l SET owner = $1, expires_at = now() + make_interval(secs => $2)
       FROM service_instance_backups s, stores st
      WHERE l.kind = 'run' AND l.expires_at < now() AND s.id = l.service_instance_backup_id AND st.id = s.store_id
        AND s.attempt = l.attempt AND s.state IN ('RUNNING', 'SEALING')
      RETURNING s.id, s.attempt, l.owner, s.state, s.manifest, s.key_prefix AS "keyPrefix", st.url AS "storeUrl"`,
    [`settler ${randomUUID()}`, leaseSeconds],
  )
}

/** Which attempt of a service-instance backup may have objects in the store. */
export interface AttemptOnRecord {
  attempt: number
  /** It may be writing at this moment. */
  running: boolean
  /** It has a manifest, or had one and is being deleted. */
  sealed: boolean
}

/**
 * The service-instance backup that a key belongs to, found by where it was stored: names may have changed since. null when the catalog
 * has never heard of it, nor of so late an attempt: then it is older than the store.
 */
export async function findAttempt(
  db: Db,
  { backupId, attempts, attempt }: Pick<KeyParts, 'backupId' | 'attempts' | 'attempt'>,
): Promise<AttemptOnRecord | null> {
  const [row] = await db.query<AttemptOnRecord>(
    `SELECT attempt, state IN ('RUNNING', 'SEALING') AS running,
            state = 'DELETING' OR (state = 'COMPLETED' AND success IN ('SUCCESS', 'PARTIAL')) AS sealed
       FROM service_instance_backups
      WHERE backup_id = $1 AND key_prefix = $2 || attempt || '/' AND attempt >= $3`,
    [backupId, attempts, attempt],
  )
  return row ?? null
}

/** The addresses of all stores that may hold something of ours, as they were configured. */
export async function storeAddresses(db: Db): Promise<string[]> {
  const rows = await db.query<{ url: string }>('SELECT url FROM stores ORDER BY is_default DESC, name')
  return rows.map((row) => row.url)
}
