import type { VerificationLevel, VerificationOutcome } from '../domain/verification.ts'
import type { Catalog, Db } from './database.ts'
import { ringVerifications } from './outbox.ts'
import type { RunError, RunProgress } from './service-instance-backups.ts'
import { findSubject, type VerificationSubject } from './verification-subjects.ts'

/** One claimed verification, fenced by `attempt` and `owner`. `subject` null: the metadata of its whole environment. */
export interface ClaimedVerification {
  id: string
  attempt: number
  owner: string
  level: VerificationLevel
  environmentId: string
  subject: VerificationSubject | null
}

/** `gone`: what was to be verified is being deleted, so that nothing is left to do; it has ended. */
export type VerificationClaim = { claimed: ClaimedVerification } | { refused: 'stale' | 'gone' }

interface Claimed {
  id: string
  attempt: number
  level: VerificationLevel
  environmentId: string
  part: string | null
}

/** QUEUED → RUNNING. Until it ends, a read lease keeps its service-instance backup from being deleted. */
export function claimVerification(
  catalog: Catalog,
  request: { id: string; attempt: number; owner: string; leaseSeconds: number; gone: RunError; now: Date },
): Promise<VerificationClaim> {
  const { id, attempt, owner, leaseSeconds, gone, now } = request
  return catalog.transaction(async (tx) => {
    const [row] = await tx.query<Claimed>(
      `UPDATE verifications SET state = 'RUNNING', attempt = $2, owner = $3, started_at = $5, progress = NULL,
              lease_expires_at = now() + make_interval(secs => $4)
        WHERE id = $1 AND state = 'QUEUED' AND attempt = $2 - 1
       RETURNING id, attempt, level, environment_id AS "environmentId", service_instance_backup_id AS part`,
      [id, attempt, owner, leaseSeconds, now],
    )
    if (!row) return { refused: 'stale' }
    const { part, ...claimed } = row
    if (part === null) return { claimed: { ...claimed, owner, subject: null } }
    // Locked, so that it does not begin to be deleted between this look and the lease.
    await tx.query('SELECT 1 FROM service_instance_backups WHERE id = $1 FOR SHARE', [part])
    const subject = await findSubject(tx, part)
    if (!subject) {
      await finish(tx, { id, attempt, owner }, { outcome: 'unreadable', report: null, error: gone, now })
      return { refused: 'gone' }
    }
    await tx.query(
      `INSERT INTO leases (kind, service_instance_backup_id, attempt, owner, expires_at)
       VALUES ('read', $1, $2, $3, now() + make_interval(secs => $4))`,
      [part, subject.attempt, readerOf(id), leaseSeconds],
    )
    return { claimed: { ...claimed, owner, subject } }
  })
}

const readerOf = (id: string) => `verification ${id}`

export type VerificationFence = Pick<ClaimedVerification, 'id' | 'attempt' | 'owner'>

/** The claim and the read lease, for another while. */
export async function renewVerification(
  db: Db,
  fence: VerificationFence,
  { leaseSeconds, progress }: { leaseSeconds: number; progress: RunProgress | null },
): Promise<'held' | 'fenced'> {
  const rows = await db.query(
    `WITH held AS (
       UPDATE verifications SET lease_expires_at = now() + make_interval(secs => $4), progress = $5
        WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'RUNNING' RETURNING id),
     kept AS (UPDATE leases SET expires_at = now() + make_interval(secs => $4) WHERE owner = $6 AND EXISTS (SELECT 1 FROM held))
     SELECT id FROM held`,
    [fence.id, fence.attempt, fence.owner, leaseSeconds, JSON.stringify(progress), readerOf(fence.id)],
  )
  return rows.length > 0 ? 'held' : 'fenced'
}

export interface VerificationEnd {
  outcome: VerificationOutcome
  report: Record<string, unknown> | null
  error: RunError | null
  now: Date
}

/** RUNNING → COMPLETED, and what follows from it, in one transaction. `fenced`: another has taken it over, nothing was recorded. */
export function endVerification(
  catalog: Catalog,
  fence: VerificationFence,
  end: VerificationEnd,
  follow: (tx: Db) => Promise<void>,
): Promise<'ended' | 'fenced'> {
  return catalog.transaction(async (tx) => {
    if (!(await finish(tx, fence, end))) return 'fenced'
    await follow(tx)
    return 'ended'
  })
}

async function finish(tx: Db, fence: VerificationFence, { outcome, report, error, now }: VerificationEnd) {
  const rows = await tx.query(
    `UPDATE verifications SET state = 'COMPLETED', outcome = $4, report = $5, errors = errors || $6::jsonb, ended_at = $7,
            progress = NULL, owner = NULL, lease_expires_at = NULL
      WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'RUNNING' RETURNING id`,
    [
      ...[fence.id, fence.attempt, fence.owner, outcome, JSON.stringify(report)],
      ...[JSON.stringify(error ? [error] : []), now],
    ],
  )
  // Else the lease is that of who has taken it over.
  if (rows.length > 0) await dropReadLease(tx, fence.id)
  return rows.length > 0
}

const dropReadLease = (tx: Db, id: string) => tx.query('DELETE FROM leases WHERE owner = $1', [readerOf(id)])

/** RUNNING → QUEUED, for one whose worker was told to stop: it costs no try. */
export async function requeueVerification(catalog: Catalog, fence: VerificationFence): Promise<void> {
  await catalog.transaction(async (tx) => {
    const requeued = await tx.query(
      `UPDATE verifications SET state = 'QUEUED', progress = NULL, owner = NULL, lease_expires_at = NULL
        WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'RUNNING' RETURNING id`,
      [fence.id, fence.attempt, fence.owner],
    )
    if (requeued.length === 0) return
    await dropReadLease(tx, fence.id)
    await ringVerifications(tx, [fence.id])
  })
}

/**
 * Those whose worker died wait again, or have ended, `unreadable`, when that was the last try: then the worker died of them.
 * @returns how many
 */
export async function requeueLapsedVerifications(
  catalog: Catalog,
  error: (attempt: number) => RunError,
  now: Date,
): Promise<number> {
  const lapsed = await catalog.query<{ id: string; attempt: number; owner: string }>(
    `SELECT id, attempt, owner FROM verifications WHERE state = 'RUNNING' AND lease_expires_at < now()`,
  )
  for (const { id, attempt, owner } of lapsed)
    await catalog.transaction(async (tx) => {
      const [row] = await tx.query<{ tries_left: number }>(
        `UPDATE verifications SET tries_left = tries_left - 1, errors = errors || $4::jsonb
          WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'RUNNING' AND lease_expires_at < now() RETURNING tries_left`,
        [id, attempt, owner, JSON.stringify([error(attempt)])],
      )
      if (!row) return
      if (row.tries_left === 0)
        await finish(tx, { id, attempt, owner }, { outcome: 'unreadable', report: null, error: null, now })
      else {
        await tx.query(
          `UPDATE verifications SET state = 'QUEUED', progress = NULL, owner = NULL, lease_expires_at = NULL WHERE id = $1`,
          [id],
        )
        await dropReadLease(tx, id)
        await ringVerifications(tx, [id])
      }
    })
  return lapsed.length
}

/** Of these verifications, those that are known here and have ended: one that waits may be begun at any moment. What is named after them can go. */
export async function endedVerifications(db: Db, ids: readonly string[]): Promise<string[]> {
  const rows = await db.query<{ id: string }>(
    `SELECT id FROM verifications WHERE id = ANY($1::uuid[]) AND state = 'COMPLETED'`,
    [ids],
  )
  return rows.map(({ id }) => id)
}
