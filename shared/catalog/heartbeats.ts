import type { Db } from './database.ts'

export interface SignOfLife {
  /** Major versions of PostgreSQL whose clients it has. */
  postgresMajors: readonly number[]
  eventLoopP99Seconds: number | null
}

/** A worker says that it lives. Rows of those long dead go, but for the newest. */
export async function recordBeat(db: Db, owner: string, sign: SignOfLife): Promise<void> {
  await db.query(
    `INSERT INTO workers (owner, postgres_clients, event_loop_p99_seconds) VALUES ($1, $2, $3)
     ON CONFLICT (owner) DO UPDATE
        SET last_seen = now(), postgres_clients = excluded.postgres_clients, event_loop_p99_seconds = excluded.event_loop_p99_seconds`,
    [owner, sign.postgresMajors, sign.eventLoopP99Seconds],
  )
  await db.query(
    `DELETE FROM workers WHERE last_seen < now() - interval '1 day' AND last_seen < (SELECT max(last_seen) FROM workers)`,
  )
}

/** The reconciler has come to its end. */
export async function recordReconciled(db: Db, owner: string): Promise<void> {
  await db.query('UPDATE workers SET last_reconciled_at = now() WHERE owner = $1', [owner])
}

export interface Liveness {
  /** null: there never was a worker. */
  lastSeen: Date | null
  /** Seconds since any worker, or the reconciler, has shown life; `sinceSeconds` where neither ever has. */
  workersSilentSeconds: number
  reconcilerSilentSeconds: number
}

/** @param sinceSeconds how long the asker itself has lived: who has just started can't say that others are late */
export async function liveness(db: Db, sinceSeconds: number): Promise<Liveness> {
  const [row] = await db.query<{ lastSeen: Date | null; workers: number | null; reconciler: number | null }>(
    `SELECT max(last_seen) AS "lastSeen", extract(epoch FROM now() - max(last_seen))::float8 AS workers,
            extract(epoch FROM now() - max(last_reconciled_at))::float8 AS reconciler FROM workers`,
  )
  const silent = (seconds: number | null | undefined) => Math.min(seconds ?? sinceSeconds, sinceSeconds)
  return {
    lastSeen: row?.lastSeen ?? null,
    workersSilentSeconds: silent(row?.workers),
    reconcilerSilentSeconds: silent(row?.reconciler),
  }
}

export interface LivingWorker extends SignOfLife {
  owner: string
}

/** Those that have shown life within so many seconds. */
export const listLiving = (db: Db, withinSeconds: number): Promise<LivingWorker[]> =>
  db.query<LivingWorker>(
    `SELECT owner, postgres_clients AS "postgresMajors", event_loop_p99_seconds AS "eventLoopP99Seconds" FROM workers
      WHERE last_seen > now() - make_interval(secs => $1) ORDER BY owner`,
    [withinSeconds],
  )
