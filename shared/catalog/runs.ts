import { attemptPrefix } from '../domain/keys.ts'
import type { PolicyClass, ServiceType, Trigger } from '../domain/states.ts'
import { CofferError } from '../errors.ts'
import { violatedConstraint, type Catalog, type Db } from './database.ts'
import { recordBackupStarted } from './events.ts'
import { HOLDS_TARGET } from './outbox.ts'
import type { Egress } from './service-instances.ts'
import { MEDIA_BOUNDS, type MediaBounds } from './media-bounds.ts'
import type { RunProgress } from './service-instance-backups.ts'

interface Named {
  id: string
  slug: string
  name: string
}

/** One claimed attempt, with all that its worker needs to know. The claim is fenced by `attempt` and `owner`. */
export interface ClaimedRun {
  id: string
  attempt: number
  owner: string
  organisation: Named
  application: Named
  environment: Named & { timezone: string }
  backup: {
    id: string
    trigger: Trigger
    policy_class: PolicyClass
    schedule: string | null
    due_at: Date | null
    bucket_date: string
    notes: string
    created_at: Date
  }
  mediaBounds: MediaBounds
  serviceInstance: { id: string; type: ServiceType; prefix: string; egress: Egress; connection: Buffer | null }
  store: { id: string; url: string; region: string }
  /** Ends with '/'. Every object of this attempt lies under it. */
  keyPrefix: string
  startedAt: Date
  scheduledForDeletionAt: Date | null
  /** The newest of the same service instance that was sealed, though it may be deleted since. Sizes in bytes. */
  last: { plain_size: number; stored_size: number; files: number | null; duration_seconds: number } | null
}

/** `waiting`: another run of the service instance or a restore into it is under way, or it is too early. `stale`: this bell is not for the next attempt. */
export type Claim = { claimed: ClaimedRun } | { refused: 'waiting' | 'stale' }

export interface ClaimRequest {
  id: string
  /** The attempt that the bell rings for: one more than the last. */
  attempt: number
  owner: string
  leaseSeconds: number
  now: Date
}

/**
 * QUEUED → RUNNING under a new attempt number and a lease. Of any number of claims for one attempt, one succeeds.
 * @throws CONFLICT where the objects of another service-instance backup lie already
 */
export async function claimRun(catalog: Catalog, request: ClaimRequest): Promise<Claim> {
  try {
    return await catalog.transaction((tx) => claim(tx, request))
  } catch (error) {
    const violated = violatedConstraint(error)
    if (violated === 'service_instance_backups_one_run') return { refused: 'waiting' }
    if (violated !== 'service_instance_backups_place') throw error
    const message = `service-instance backup ${request.id} would lie where another one does: its prefix was that one's`
    throw new CofferError('CONFLICT', message, { cause: error })
  }
}

async function claim(tx: Db, { id, attempt, owner, leaseSeconds, now }: ClaimRequest): Promise<Claim> {
  await lockParent(tx, id)
  const [row] = await tx.query<{ due: boolean }>(
    `SELECT not_before <= now() AS due FROM service_instance_backups
      WHERE id = $1 AND state = 'QUEUED' AND attempt = $2 - 1 FOR UPDATE`,
    [id, attempt],
  )
  if (!row) return { refused: 'stale' }
  if (!row.due || (await isBeingRestored(tx, id))) return { refused: 'waiting' }
  await tx.query(
    `UPDATE service_instance_backups SET state = 'RUNNING', attempt = $2, started_at = $3, progress = NULL, manifest = NULL,
            store_id = (SELECT coalesce(e.store_id, (SELECT d.id FROM stores d WHERE d.is_default)) FROM backups b
                          JOIN environments e ON e.id = b.environment_id WHERE b.id = backup_id)
      WHERE id = $1`,
    [id, attempt, now],
  )
  await tx.query(
    `INSERT INTO leases (kind, service_instance_backup_id, attempt, owner, expires_at)
     VALUES ('run', $1, $2, $3, now() + make_interval(secs => $4))`,
    [id, attempt, owner, leaseSeconds],
  )
  const [begun] = await tx.query<{ id: string }>(
    `UPDATE backups SET state = 'RUNNING'
      WHERE id = (SELECT backup_id FROM service_instance_backups WHERE id = $1) AND state = 'QUEUED' RETURNING id`,
    [id],
  )
  if (begun) await recordBackupStarted(tx, begun.id, now)
  return { claimed: await describeRun(tx, id, owner) }
}

/** Asked under a lock of the service instance, which a restore into it takes as well: of a run and a restore, one begins. */
async function isBeingRestored(tx: Db, id: string): Promise<boolean> {
  const [instance] = await tx.query<{ id: string }>(
    `SELECT id FROM service_instances WHERE id = (SELECT service_instance_id FROM service_instance_backups WHERE id = $1)
        FOR NO KEY UPDATE`,
    [id],
  )
  const restores = await tx.query(
    `SELECT 1 FROM service_instance_restores r WHERE r.service_instance_id = $1 AND ${HOLDS_TARGET}`,
    [instance?.id],
  )
  return restores.length > 0
}

/** The parent's lock comes first, always: siblings that end together would else leave it open, or wait for each other. */
export async function lockParent(tx: Db, id: string): Promise<void> {
  await tx.query(
    'SELECT 1 FROM backups WHERE id = (SELECT backup_id FROM service_instance_backups WHERE id = $1) FOR UPDATE',
    [id],
  )
}

type RunRow = Omit<
  ClaimedRun,
  | 'store'
  | 'owner'
  | 'keyPrefix'
  | 'serviceInstance'
  | 'mediaBounds'
  | 'backup'
  | 'startedAt'
  | 'scheduledForDeletionAt'
> & {
  backup: Omit<ClaimedRun['backup'], 'due_at' | 'created_at' | 'bucket_date'>
  store: ClaimedRun['store'] | null
  due_at: Date | null
  created_at: Date
  bucket_date: string
  started_at: Date
  scheduled_for_deletion_at: Date | null
  service_instance: { id: string; type: ServiceType; prefix: string; egress: Egress }
  media_bounds: MediaBounds
  connection: Buffer | null
}

const RUN = `
  SELECT s.id, s.attempt, s.started_at, b.due_at, b.created_at, b.bucket_date, b.scheduled_for_deletion_at, si.connection,
         jsonb_build_object('id', o.id, 'slug', o.slug, 'name', o.name) AS organisation,
         jsonb_build_object('id', a.id, 'slug', a.slug, 'name', a.name) AS application,
         jsonb_build_object('id', e.id, 'slug', e.slug, 'name', e.slug, 'timezone', e.timezone) AS environment,
         jsonb_build_object('id', b.id, 'trigger', b.trigger, 'policy_class', b.policy_class, 'schedule', b.schedule_id,
                            'notes', b.notes) AS backup,
         jsonb_build_object('id', si.id, 'type', si.type, 'prefix', si.prefix, 'egress', si.egress) AS service_instance, ${MEDIA_BOUNDS} AS media_bounds,
         CASE WHEN st.id IS NULL THEN NULL ELSE jsonb_build_object('id', st.id, 'url', st.url, 'region', st.region) END AS store,
         (SELECT jsonb_build_object('plain_size', l.plain_size, 'stored_size', l.stored_size, 'files', l.files,
                                    'duration_seconds', extract(epoch FROM l.ended_at - l.started_at))
            FROM service_instance_backups l
           WHERE l.service_instance_id = s.service_instance_id AND l.success IN ('SUCCESS', 'PARTIAL')
           ORDER BY l.ended_at DESC LIMIT 1) AS last
    FROM service_instance_backups s
    JOIN backups b ON b.id = s.backup_id
    JOIN service_instances si ON si.id = s.service_instance_id
    JOIN environments e ON e.id = b.environment_id
    JOIN applications a ON a.id = e.application_id
    JOIN organisations o ON o.id = a.organisation_id
    LEFT JOIN stores st ON st.id = s.store_id
   WHERE s.id = $1`

async function describeRun(tx: Db, id: string, owner: string): Promise<ClaimedRun> {
  const [row] = await tx.query<RunRow>(RUN, [id])
  if (!row) throw new CofferError('NOT_FOUND', `there is no service-instance backup ${id}`)
  if (!row.store) throw new CofferError('CONFIG_INVALID', 'the catalog has no default store: start a producer first')
  const run: ClaimedRun = {
    id: row.id,
    attempt: row.attempt,
    owner,
    organisation: row.organisation,
    application: row.application,
    environment: row.environment,
    backup: { ...row.backup, due_at: row.due_at, created_at: row.created_at, bucket_date: row.bucket_date },
    mediaBounds: row.media_bounds,
    serviceInstance: { ...row.service_instance, connection: row.connection },
    store: row.store,
    keyPrefix: attemptPrefix({
      organisation: row.organisation.slug,
      application: row.application.slug,
      environment: row.environment.slug,
      createdAt: row.created_at,
      backupId: row.backup.id,
      servicePrefix: row.service_instance.prefix,
      serviceType: row.service_instance.type,
      attempt: row.attempt,
    }),
    startedAt: row.started_at,
    scheduledForDeletionAt: row.scheduled_for_deletion_at,
    last: row.last,
  }
  await tx.query('UPDATE service_instance_backups SET key_prefix = $2 WHERE id = $1', [id, run.keyPrefix])
  return run
}

/** Who holds which attempt; every later write is fenced by it. */
export type Fence = Pick<ClaimedRun, 'id' | 'attempt' | 'owner'>

/** Prolongs the lease and shows the progress. `fenced`: another has taken the run over. */
export async function renewRun(
  db: Db,
  fence: Fence,
  { leaseSeconds, progress }: { leaseSeconds: number; progress: RunProgress | null },
): Promise<'held' | 'cancel-requested' | 'fenced'> {
  const [row] = await db.query<{ cancel_requested: boolean }>(
    `WITH lease AS (
       UPDATE leases SET expires_at = now() + make_interval(secs => $4)
        WHERE kind = 'run' AND service_instance_backup_id = $1 AND attempt = $2 AND owner = $3 RETURNING 1)
     UPDATE service_instance_backups SET progress = $5
      WHERE id = $1 AND attempt = $2 AND EXISTS (SELECT 1 FROM lease)
     RETURNING cancel_requested_at IS NOT NULL AS cancel_requested`,
    [fence.id, fence.attempt, fence.owner, leaseSeconds, JSON.stringify(progress)],
  )
  if (!row) return 'fenced'
  return row.cancel_requested ? 'cancel-requested' : 'held'
}
