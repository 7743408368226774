import { CofferError } from '../errors.ts'
import type { Session } from './session.ts'

/**
 * What of logical replication hangs on this very database and not on its name: after a swap it would be the old one's. Whoever reads
 * from a slot also keeps the database from being renamed. Any session on the server may ask.
 */
export async function listReplication(session: Session, database: string): Promise<string[]> {
  const { rows } = await session.query<{ finding: string }>(REPLICATION, [database])
  return rows.map(({ finding }) => finding)
}

/** Asked again before a database is closed, since there may be more of it than when the restore began. @throws RESTORE_FAILED */
export async function refuseReplication(session: Session, database: string): Promise<void> {
  const findings = await listReplication(session, database)
  if (findings.length === 0) return
  throw new CofferError('RESTORE_FAILED', `the database ${database} is as it was: ${findings.join('; ')}`)
}

// Of a subscription anybody may read these columns, and no others on every version.
const REPLICATION = `
  SELECT format('the %s is of the database and would stay with the old one: drop it, and make it again afterwards', made) AS finding
    FROM (SELECT 'replication slot ' || slot_name FROM pg_catalog.pg_replication_slots WHERE database = $1
           UNION ALL
          SELECT 'subscription ' || subname FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
           WHERE d.datname = $1) of_it (made)
   ORDER BY 1`
