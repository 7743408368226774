import type { Db } from './database.ts'

const FROM_ENVIRONMENTS = 'FROM environments e JOIN applications a ON a.id = e.application_id'
const PRUNE_NAME = `e.slug || ' · ' || a.slug`

/**
 * Writes a bell for a prune of this environment. Each has a number of its own: a bell with the name of a prune that runs would be lost,
 * and with it what has changed since that began.
 */
export async function ringPrune(
  tx: Db,
  environmentId: string,
  { delaySeconds = 0 }: { delaySeconds?: number } = {},
): Promise<void> {
  await tx.query(
    `INSERT INTO outbox (queue, job_id, name, data, not_before)
     SELECT 'prune', e.id || '-' || n.number, ${PRUNE_NAME}, jsonb_build_object('id', e.id, 'attempt', n.number),
            now() + make_interval(secs => $2)
       ${FROM_ENVIRONMENTS} CROSS JOIN (SELECT nextval('prune_bells') AS number) n WHERE e.id = $1`,
    [environmentId, delaySeconds],
  )
}

/** The same for the environment of this backup. */
export async function ringPruneOfBackup(tx: Db, backupId: string): Promise<void> {
  const [row] = await tx.query<{ environment_id: string }>('SELECT environment_id FROM backups WHERE id = $1', [
    backupId,
  ])
  if (row) await ringPrune(tx, row.environment_id)
}

const BATCH = 1000

/**
 * Writes bells for environments, also deleted ones, whose last prune began a day ago or never, or before their newest backup had ended: that
 * bell was lost with Redis. Rung again until a prune has begun: as the bell has always the same name, that is one job. Returns how many.
 */
export async function ringPrunesDue(db: Db, now: Date): Promise<number> {
  const rung = await db.query(
    `INSERT INTO outbox (queue, job_id, name, data)
     SELECT 'prune', e.id || '-0', ${PRUNE_NAME}, jsonb_build_object('id', e.id, 'attempt', 0) ${FROM_ENVIRONMENTS}
      CROSS JOIN LATERAL (SELECT b.ended_at FROM backups b WHERE b.environment_id = e.id ORDER BY b.created_at DESC LIMIT 1) newest
      WHERE ((e.prune_tried_at BETWEEN $1::timestamptz - interval '1 day' AND $1) IS NOT TRUE
              OR newest.ended_at > e.prune_tried_at AND newest.ended_at <= $1)
        AND EXISTS (SELECT 1 FROM backups b WHERE b.environment_id = e.id AND b.state <> 'DELETED')
        AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.queue = 'prune' AND o.data->>'id' = e.id::text)
      ORDER BY e.prune_tried_at NULLS FIRST LIMIT ${BATCH} RETURNING id`,
    [now],
  )
  return rung.length
}
