import type { Bell, QueueName } from '../queues.ts'
import type { Catalog, Db } from './database.ts'

const BATCH = 100

/** Names a job for those who read Bull Board. */
const JOB_NAME = `e.slug || ' · ' || a.slug || ' · ' || si.prefix`

/**
 * Writes the doorbells of those that are QUEUED; rung after the commit, at the earliest at their `not_before`. Uploads that wait for their
 * bytes have none.
 * @param siblings, backups the tables, or what the same statement has just inserted into them
 */
export const serviceInstanceBells = (siblings = 'service_instance_backups', backups = 'backups') => `
  INSERT INTO outbox (queue, job_id, name, data, not_before)
  SELECT CASE WHEN b.trigger = 'UPLOAD' THEN 'transfer' WHEN si.type = 'DATABASE' THEN 'dump' ELSE 'media-archive' END,
         s.id || '-' || s.attempt + 1, ${JOB_NAME}, jsonb_build_object('id', s.id, 'attempt', s.attempt + 1), s.not_before
    FROM ${siblings} s
    JOIN ${backups} b ON b.id = s.backup_id
    JOIN service_instances si ON si.id = s.service_instance_id
    JOIN environments e ON e.id = si.environment_id
    JOIN applications a ON a.id = e.application_id
   WHERE s.state = 'QUEUED' AND s.not_before < 'infinity'`

export async function ringServiceInstanceBackups(tx: Db, ids: readonly string[]): Promise<void> {
  await tx.query(`${serviceInstanceBells()} AND s.id = ANY($1::uuid[])`, [ids])
}

export async function ringServiceInstanceRestores(tx: Db, ids: readonly string[]): Promise<void> {
  await tx.query(
    `INSERT INTO outbox (queue, job_id, name, data)
     SELECT 'restore', r.id || '-' || r.attempt + 1, ${JOB_NAME}, jsonb_build_object('id', r.id, 'attempt', r.attempt + 1)
       FROM service_instance_restores r
       JOIN service_instances si ON si.id = r.service_instance_id
       JOIN environments e ON e.id = si.environment_id
       JOIN applications a ON a.id = e.application_id
      WHERE r.id = ANY($1::uuid[]) AND r.state = 'QUEUED'`,
    [ids],
  )
}

export async function ringVerifications(tx: Db, ids: readonly string[]): Promise<void> {
  await tx.query(
    `INSERT INTO outbox (queue, job_id, name, data)
     SELECT 'verify', v.id || '-' || v.attempt + 1, e.slug || ' · ' || a.slug || coalesce(' · ' || si.prefix, '') || ' · ' || v.level,
            jsonb_build_object('id', v.id, 'attempt', v.attempt + 1)
       FROM verifications v
       JOIN environments e ON e.id = v.environment_id
       JOIN applications a ON a.id = e.application_id
       LEFT JOIN service_instances si ON si.id = v.service_instance_id
      WHERE v.id = ANY($1::uuid[]) AND v.state = 'QUEUED' ORDER BY v.queued_at, v.id`,
    [ids],
  )
}

interface OutboxRow {
  queue: QueueName
  job_id: string
  name: string
  data: Bell['data']
  delay_ms: number
}

/**
 * Rings up to a hundred doorbells, oldest first, and forgets them. When a ring fails, all of this batch stay and are rung again:
 * ringing twice is harmless. Several processes may deliver at once; each takes bells that no other holds.
 * @returns how many were rung; a full batch means there may be more
 */
export async function deliverBells(
  catalog: Catalog,
  ring: (bell: Bell) => Promise<void>,
): Promise<{ rung: number; more: boolean }> {
  const rung = await catalog.transaction(async (tx) => {
    const rows = await tx.query<OutboxRow>(
      `DELETE FROM outbox WHERE id IN (SELECT id FROM outbox ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
       RETURNING queue, job_id, name, data, greatest(0, ceil(extract(epoch FROM not_before - now()) * 1000))::int AS delay_ms`,
      [BATCH],
      'doorbells',
    )
    await Promise.all(
      rows.map((row) =>
        ring({ queue: row.queue, jobId: row.job_id, name: row.name, data: row.data, delayMs: row.delay_ms }),
      ),
    )
    return rows.length
  })
  return { rung, more: rung === BATCH }
}

/**
 * The condition that restore `r` keeps backups from its target: it writes into it, or a worker died while it did, and the next has not yet
 * made it whole.
 */
export const HOLDS_TARGET = `(r.state = 'RUNNING' OR (r.state = 'QUEUED' AND r.action = 'restore' AND r.may_have_leftovers))`

/** Writes doorbells again for backups that are due, whose bell may have been lost with Redis: the oldest of each service instance. Returns how many. */
export async function ringBackupsDue(catalog: Catalog): Promise<number> {
  return catalog.transaction(async (tx) => {
    const backups = await tx.query<{ id: string }>(
      `SELECT DISTINCT ON (s.service_instance_id) s.id FROM service_instance_backups s
        WHERE s.state = 'QUEUED' AND s.not_before <= now()
          AND NOT EXISTS (SELECT 1 FROM service_instance_backups o
                           WHERE o.service_instance_id = s.service_instance_id AND o.state IN ('RUNNING', 'SEALING'))
          AND NOT EXISTS (SELECT 1 FROM service_instance_restores r
                           WHERE r.service_instance_id = s.service_instance_id AND ${HOLDS_TARGET})
          AND NOT EXISTS (SELECT 1 FROM outbox WHERE job_id = s.id || '-' || s.attempt + 1)
        ORDER BY s.service_instance_id, s.queued_at LIMIT 1000`,
    )
    await ringServiceInstanceBackups(
      tx,
      backups.map((row) => row.id),
    )
    return backups.length
  })
}

/** The same for verifications. */
export async function ringVerificationsDue(catalog: Catalog): Promise<number> {
  return catalog.transaction(async (tx) => {
    const verifications = await tx.query<{ id: string }>(
      `SELECT v.id FROM verifications v
        WHERE v.state = 'QUEUED' AND NOT EXISTS (SELECT 1 FROM outbox WHERE job_id = v.id || '-' || v.attempt + 1)
        ORDER BY v.queued_at, v.id LIMIT 1000`,
    )
    await ringVerifications(
      tx,
      verifications.map((row) => row.id),
    )
    return verifications.length
  })
}
