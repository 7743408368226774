import type { Db } from './database.ts'

/** What a running worker says about its identities: public keys only. */
export interface KeyReport {
  /** For people: `worker on host`. */
  name: string
  loaded: string[]
  /** Those of them that open what is written now. */
  opens: string[]
}

/** Says it again for so many seconds, and forgets what has expired. */
export async function reportKeys(
  db: Db,
  process: string,
  { name, loaded, opens }: KeyReport,
  lifeSeconds: number,
): Promise<void> {
  await db.query('DELETE FROM key_reports WHERE expires_at < now()')
  await db.query(
    `INSERT INTO key_reports (process, name, loaded, opens, expires_at) VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))
     ON CONFLICT (process) DO UPDATE SET loaded = excluded.loaded, opens = excluded.opens, expires_at = excluded.expires_at`,
    [process, name, loaded, opens, lifeSeconds],
  )
}

/** It has ended. */
export async function withdrawKeys(db: Db, process: string): Promise<void> {
  await db.query('DELETE FROM key_reports WHERE process = $1', [process])
}

export const listKeyReports = (db: Db): Promise<KeyReport[]> =>
  db.query<KeyReport>('SELECT name, loaded, opens FROM key_reports WHERE expires_at >= now() ORDER BY name, process')
