import type { ArtifactRecord } from '../domain/artifact.ts'
import type { ServiceType, State } from '../domain/states.ts'
import { CofferError } from '../errors.ts'
import { insertBackup, type NewBackup } from './backups.ts'
import type { Catalog, Db } from './database.ts'
import { ringServiceInstanceBackups } from './outbox.ts'
import { failQueued } from './run-ends.ts'
import { lockParent } from './runs.ts'
import { isUuid } from './scope.ts'
import { OWN } from './own-backup.ts'
import type { RunError } from './service-instance-backups.ts'

export interface NewUpload extends Omit<NewBackup, 'trigger' | 'occurrence' | 'services'> {
  services: readonly string[]
  /** The most that may be sent for each. */
  maxBytes: number
  lifeSeconds: number
  /** The id of a token: whose links they are. */
  createdBy: string
}

export interface CreatedUpload {
  backup: string
  expiresAt: Date
  /** `id`: of the service-instance backup. */
  parts: { id: string; serviceInstance: string }[]
}

/**
 * One transaction: a backup by upload, one service-instance backup for each service instance, and what is waited for.
 * @throws NOT_FOUND (environment or service)
 */
export function createUpload(catalog: Catalog, input: NewUpload): Promise<CreatedUpload> {
  if (input.environmentId.toLowerCase() === OWN.environment)
    throw new CofferError('CONFLICT', 'the catalog that Coffer backs up is its own: nothing is uploaded for it')
  return catalog.transaction(async (tx) => {
    const backup = await insertBackup(tx, { ...input, trigger: 'UPLOAD' })
    const expiresAt = new Date(input.now.getTime() + input.lifeSeconds * 1000)
    const parts = await tx.query<{ id: string; serviceInstance: string }>(
      `WITH made AS (
         INSERT INTO uploads (service_instance_backup_id, store_id, max_bytes, expires_at, created_by)
         SELECT s.id, coalesce(e.store_id, (SELECT d.id FROM stores d WHERE d.is_default)), $2, $3, $4
           FROM service_instance_backups s JOIN backups b ON b.id = s.backup_id JOIN environments e ON e.id = b.environment_id
          WHERE b.id = $1 RETURNING service_instance_backup_id)
       SELECT s.id, s.service_instance_id AS "serviceInstance"
         FROM made JOIN service_instance_backups s ON s.id = made.service_instance_backup_id`,
      [backup, input.maxBytes, expiresAt, input.createdBy],
    )
    return { backup, expiresAt, parts }
  })
}

export interface Upload {
  id: string
  serviceType: ServiceType
  store: string
  maxBytes: number
  record: ArtifactRecord | null
  backup: string
  /** Whose link it is. */
  madeBy: { token: string | null; name: string | null; organisation: string }
}

interface UploadRow extends Upload {
  state: State
  expiresAt: Date
  finishedAt: Date | null
}

/** An upload that still takes bytes. @throws NOT_FOUND, LINK_EXPIRED, CONFLICT (finished or cancelled) */
export async function openUpload(db: Db, id: string, now: Date): Promise<Upload> {
  const [row] = isUuid(id)
    ? await db.query<UploadRow>(
        `SELECT s.id, si.type AS "serviceType", u.store_id AS store, u.max_bytes AS "maxBytes", u.record, s.state,
                u.expires_at AS "expiresAt", u.finished_at AS "finishedAt", s.backup_id AS backup,
                jsonb_build_object('token', u.created_by, 'name', t.name, 'organisation', a.organisation_id) AS "madeBy"
           FROM uploads u JOIN service_instance_backups s ON s.id = u.service_instance_backup_id
           JOIN service_instances si ON si.id = s.service_instance_id
           JOIN environments e ON e.id = si.environment_id JOIN applications a ON a.id = e.application_id
           LEFT JOIN tokens t ON t.id = u.created_by WHERE s.id = $1`,
        [id],
      )
    : []
  if (!row) throw new CofferError('NOT_FOUND', `there is no upload ${id}`)
  if (row.finishedAt !== null || row.state !== 'QUEUED') throw takesNothing(id)
  if (row.expiresAt <= now)
    throw new CofferError('LINK_EXPIRED', `upload ${id} expired at ${row.expiresAt.toISOString()}`)
  return row
}

/** What is being written: the key of its staged object, and for how long it is believed to go on without being renewed. */
export interface UploadHold {
  id: string
  key: string
  seconds: number
}

/**
 * Lets this one write and no other, and keeps the upload from expiring, and what is being written from being swept, for so many seconds.
 * @throws CONFLICT while another writes, or when it has ended meanwhile
 */
export async function holdUpload(db: Db, { id, key, seconds }: UploadHold, now: Date): Promise<void> {
  const held = await db.query(
    `UPDATE uploads SET writing_key = $2, writing_until = now() + make_interval(secs => $3)
      WHERE service_instance_backup_id = $1 AND coalesce(writing_until < now(), true) AND expires_at > $4 RETURNING 1`,
    [id, key, seconds, now],
  )
  if (held.length > 0) return
  throw new CofferError('CONFLICT', `upload ${id} is being sent already`, {
    remedy: 'wait until the other has sent its bytes, or a minute after it has died, then send them again',
  })
}

/** The same for so many seconds more. @throws CONFLICT when it was finished, cancelled, has expired, or another writes now */
export async function renewUpload(db: Db, { id, key, seconds }: UploadHold): Promise<void> {
  const held = await db.query(
    `UPDATE uploads u SET writing_until = now() + make_interval(secs => $3) FROM service_instance_backups s
      WHERE u.service_instance_backup_id = $1 AND u.writing_key = $2 AND u.finished_at IS NULL
        AND s.id = u.service_instance_backup_id AND s.state = 'QUEUED' RETURNING 1`,
    [id, key, seconds],
  )
  if (held.length === 0) throw takesNothing(id)
}

/** Lets the next one write. */
export async function releaseUpload(db: Db, { id, key }: UploadHold): Promise<void> {
  await db.query(
    `UPDATE uploads SET writing_key = NULL, writing_until = NULL WHERE service_instance_backup_id = $1 AND writing_key = $2`,
    [id, key],
  )
}

const takesNothing = (id: string) =>
  new CofferError('CONFLICT', `upload ${id} takes nothing any more: it was finished, cancelled or has expired`)

/**
 * What was sent last is what counts, if it was held to the end; it may be finished at least so many seconds from now.
 * @returns the key of what it replaces, to be deleted. @throws as openUpload
 */
export function recordReceived(
  catalog: Catalog,
  id: string,
  record: ArtifactRecord,
  { graceSeconds, now }: { graceSeconds: number; now: Date },
): Promise<string | null> {
  return catalog.transaction(async (tx) => {
    await lockParent(tx, id)
    // Not the time: what began in time has come whole.
    const { record: replaced } = await openUpload(tx, id, new Date(0))
    const held = await tx.query(
      `UPDATE uploads SET record = $2, received_at = $3, expires_at = greatest(expires_at, $4), writing_key = NULL, writing_until = NULL
        WHERE service_instance_backup_id = $1 AND writing_key = $5 RETURNING 1`,
      [id, JSON.stringify(record), now, new Date(now.getTime() + graceSeconds * 1000), record.key],
    )
    if (held.length === 0) throw takesNothing(id)
    return replaced?.key ?? null
  })
}

/** From here on it is a run like any other, on the queue `transfer`. @throws as openUpload; CONFLICT before anything was sent */
export function finishUpload(catalog: Catalog, id: string, now: Date): Promise<void> {
  return catalog.transaction(async (tx) => {
    await lockParent(tx, id)
    const { record } = await openUpload(tx, id, now)
    if (record === null)
      throw new CofferError('CONFLICT', `upload ${id} can't be finished: nothing was sent yet`, {
        remedy: 'send the bytes with PUT to the url of its upload_parameters first',
      })
    await tx.query('UPDATE uploads SET finished_at = $2 WHERE service_instance_backup_id = $1', [id, now])
    await tx.query('UPDATE service_instance_backups SET not_before = now(), queued_at = $2 WHERE id = $1', [id, now])
    await ringServiceInstanceBackups(tx, [id])
  })
}

/** The staged bytes of a run by upload; null when there are none (any more). */
export async function stagedOf(
  db: Db,
  id: string,
): Promise<{ record: ArtifactRecord; storeUrl: string; maxBytes: number; receivedAt: Date } | null> {
  const [row] = await db.query<{ record: ArtifactRecord; storeUrl: string; maxBytes: number; receivedAt: Date }>(
    `SELECT u.record, st.url AS "storeUrl", u.max_bytes AS "maxBytes", u.received_at AS "receivedAt"
       FROM uploads u JOIN stores st ON st.id = u.store_id WHERE u.service_instance_backup_id = $1 AND u.record IS NOT NULL`,
    [id],
  )
  return row ?? null
}

/**
 * Ends the uploads that were not finished in time, so that no backup stays open for them: FAILURE, with this error.
 * @returns how many
 */
export async function endExpiredUploads(catalog: Catalog, error: RunError, now: Date): Promise<number> {
  const expired = `SELECT u.service_instance_backup_id AS id FROM uploads u
       JOIN service_instance_backups s ON s.id = u.service_instance_backup_id
      WHERE u.finished_at IS NULL AND u.expires_at <= $1 AND coalesce(u.writing_until < now(), true)
        AND s.state = 'QUEUED' AND s.not_before = 'infinity'`
  const found = await catalog.query<{ id: string }>(`${expired} LIMIT 1000`, [now])
  for (const { id } of found)
    await catalog.transaction(async (tx) => {
      await lockParent(tx, id)
      const [still] = await tx.query(`${expired} AND s.id = $2`, [now, id])
      if (still) await failQueued(tx, id, error, now)
    })
  return found.length
}

/** Of a token that was revoked: they end as those do that have expired, and whoever is sending to them is let go. */
export async function expireUploadsOf(tx: Db, tokenId: string, now: Date): Promise<void> {
  await tx.query(
    `UPDATE uploads SET expires_at = least(expires_at, $2), writing_key = NULL, writing_until = NULL
      WHERE created_by = $1 AND finished_at IS NULL`,
    [tokenId, now],
  )
}
