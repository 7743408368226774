import { randomUUID } from 'node:crypto'
import type { ArtifactRecord } from '../domain/artifact.ts'
import type { Outcome, ServiceType } from '../domain/states.ts'
import { CofferError } from '../errors.ts'
import { getBackup } from './backups.ts'
import type { Catalog, Db } from './database.ts'
import { OWN } from './own-backup.ts'
import { isUuid, type Page, type Scope } from './scope.ts'
import { quarantined } from './service-instance-backups.ts'

/** How much longer than its links a download keeps its backup from being deleted, so that a stream that has begun can end. */
const GRACE_SECONDS = 600

export interface DownloadView {
  uuid: string
  backup: string
  trigger: string
  created_at: Date
  expires_at: Date
}

/** One artifact that can be fetched, with what its name and its bytes are made of. */
export interface DownloadItem {
  uuid: string
  download: string
  backup: string
  service_instance_backup: string
  service_type: ServiceType
  prefix: string
  application: string
  environment: string
  backup_created_at: Date
  store: string
  record: ArtifactRecord
  /** The public keys that can read it, as its manifest says. */
  recipients: string[]
  /** In quarantine. */
  corrupt: boolean
  ended_at: Date
  expires_at: Date
  /** Whose link it is. */
  made_by: { token: string | null; name: string | null; organisation: string }
}

const FROM = `
    FROM download_service_instances d
    JOIN downloads w ON w.id = d.download_id
    JOIN artifacts t ON t.id = d.artifact_id
    JOIN service_instance_backups s ON s.id = d.service_instance_backup_id
    JOIN service_instances si ON si.id = s.service_instance_id
    JOIN backups b ON b.id = s.backup_id
    JOIN environments e ON e.id = b.environment_id
    JOIN applications a ON a.id = e.application_id`

const ITEM = `
  SELECT d.id AS uuid, d.download_id AS download, b.id AS backup, d.service_instance_backup_id AS service_instance_backup, si.type AS service_type,
         si.prefix, a.slug AS application, e.slug AS environment, b.created_at AS backup_created_at, s.store_id AS store, t.record,
         coalesce(s.recipients, '{}') AS recipients,
         s.corrupt_at IS NOT NULL AS corrupt,
         d.ended_at, w.expires_at,
         (SELECT jsonb_build_object('token', w.created_by, 'name', max(name), 'organisation', a.organisation_id)
            FROM tokens WHERE id = w.created_by) AS made_by ${FROM}`

export interface NewDownload {
  backupId: string
  /** Absent: all that can be read. */
  serviceInstanceBackups?: readonly string[] | undefined
  trigger: string
  lifeSeconds: number
  /** The id of a token, which the audit log names when the links are read. */
  createdBy: string | null
  scope: Scope
  now: Date
}

/**
 * One transaction: the download, a line for each artifact, and a lease on each service-instance backup until the links expire.
 * @throws NOT_FOUND (backup or part), CONFLICT (part not readable)
 */
export function createDownload(catalog: Catalog, input: NewDownload): Promise<DownloadView> {
  return catalog.transaction(async (tx) => {
    await getBackup(tx, input.backupId, input.scope)
    const parts = await lockReadable(tx, input)
    const id = randomUUID()
    const expiresAt = new Date(input.now.getTime() + input.lifeSeconds * 1000)
    await tx.query(
      'INSERT INTO downloads (id, backup_id, trigger, created_at, expires_at, created_by) VALUES ($1, $2, $3, $4, $5, $6)',
      [id, input.backupId, input.trigger, input.now, expiresAt, input.createdBy],
    )
    await tx.query(
      `INSERT INTO download_service_instances (id, download_id, service_instance_backup_id, artifact_id, ended_at)
       SELECT gen_random_uuid(), $1, t.service_instance_backup_id, t.id, $3
         FROM artifacts t JOIN service_instance_backups s ON s.id = t.service_instance_backup_id AND s.attempt = t.attempt
        WHERE s.id = ANY($2::uuid[])`,
      [id, parts, input.now],
    )
    await tx.query(
      `INSERT INTO leases (kind, service_instance_backup_id, attempt, owner, expires_at)
       SELECT 'read', id, attempt, $2, now() + make_interval(secs => $3) FROM service_instance_backups WHERE id = ANY($1::uuid[])`,
      [parts, `download ${id}`, input.lifeSeconds + GRACE_SECONDS],
    )
    return {
      uuid: id,
      backup: input.backupId,
      trigger: input.trigger,
      created_at: input.now,
      expires_at: expiresAt,
    }
  })
}

interface Part {
  id: string
  state: string
  success: Outcome | null
  corrupt: boolean
}

const isReadable = ({ state, success }: Part) =>
  state === 'COMPLETED' && (success === 'SUCCESS' || success === 'PARTIAL')

/** Locked, so that none begins to be deleted between this look and the lease. */
async function lockReadable(tx: Db, { backupId, serviceInstanceBackups: wanted }: NewDownload): Promise<string[]> {
  const parts = await tx.query<Part>(
    'SELECT id, state, success, corrupt_at IS NOT NULL AS corrupt FROM service_instance_backups WHERE backup_id = $1 ORDER BY id FOR SHARE',
    [backupId],
  )
  if (wanted === undefined) {
    const readable = parts.filter((part) => isReadable(part) && !part.corrupt).map((part) => part.id)
    const spoilt = parts.find((part) => part.corrupt)
    if (readable.length === 0 && spoilt) throw quarantined(spoilt.id)
    if (readable.length === 0) throw new CofferError('CONFLICT', `backup ${backupId} has nothing that can be read`)
    return readable
  }
  return wanted.map((id) => {
    const part = parts.find((candidate) => candidate.id === id.toLowerCase())
    if (!part) throw new CofferError('NOT_FOUND', `backup ${backupId} has no service-instance backup ${id}`)
    if (!isReadable(part))
      throw new CofferError(
        'CONFLICT',
        `service-instance backup ${id} can't be read: it is ${[part.state, part.success].filter(Boolean).join(', ')}`,
      )
    if (part.corrupt) throw quarantined(part.id)
    return part.id
  })
}

export interface DownloadItemFilter {
  scope: Scope
  downloadId?: string | undefined
  /** Also those of the catalog's own backups. */
  withOwn: boolean
  page: Page
}

/** Newest download first; within one, a dump or archive before its list of files. */
export async function listDownloadItems(
  db: Db,
  { scope, downloadId, withOwn, page }: DownloadItemFilter,
): Promise<{ rows: DownloadItem[]; count: number }> {
  const where = `WHERE ($1::uuid IS NULL OR a.organisation_id = $1) AND ($2::uuid IS NULL OR d.download_id = $2)
      AND ($3::uuid IS NULL OR e.id <> $3)`
  const values = [scope.organisationId, downloadId ?? null, withOwn ? null : OWN.environment]
  const rows = await db.query<DownloadItem>(
    `${ITEM} ${where} ORDER BY w.created_at DESC, w.id, si.type, si.prefix, t.kind = 'file-list', d.id LIMIT $4 OFFSET $5`,
    [...values, page.limit, page.offset],
  )
  const [total] = await db.query<{ count: number }>(`SELECT count(*) ${FROM} ${where}`, values)
  return { rows, count: total?.count ?? 0 }
}

/** Everything of a download, and the manifest of each service-instance backup. For who has its link. @throws NOT_FOUND */
export async function getBundle(
  db: Db,
  id: string,
): Promise<{ items: DownloadItem[]; manifests: Map<string, string>; expiresAt: Date }> {
  const items = isUuid(id)
    ? await db.query<DownloadItem>(
        `${ITEM} WHERE d.download_id = $1 ORDER BY si.type, si.prefix, s.id, t.kind = 'file-list', d.id`,
        [id],
      )
    : []
  const [first] = items
  if (!first) throw new CofferError('NOT_FOUND', `there is no download ${id}`)
  const manifests = await db.query<{ id: string; manifest: string }>(
    'SELECT id, manifest FROM service_instance_backups WHERE id = ANY($1::uuid[]) AND manifest IS NOT NULL',
    [items.map((item) => item.service_instance_backup)],
  )
  return {
    items,
    manifests: new Map(manifests.map((row) => [row.id, row.manifest])),
    expiresAt: first.expires_at,
  }
}

/** Its links work no more, and it keeps its backup from being deleted no longer. May run twice. @throws NOT_FOUND */
export function revokeDownload(catalog: Catalog, id: string, scope: Scope, now: Date): Promise<void> {
  return catalog.transaction(async (tx) => {
    const [revoked] = isUuid(id)
      ? await tx.query(
          `UPDATE downloads w SET expires_at = least(w.expires_at, $3)
             FROM backups b JOIN environments e ON e.id = b.environment_id JOIN applications a ON a.id = e.application_id
            WHERE w.id = $1 AND b.id = w.backup_id AND ($2::uuid IS NULL OR a.organisation_id = $2) RETURNING w.id`,
          [id, scope.organisationId, now],
        )
      : []
    if (!revoked) throw new CofferError('NOT_FOUND', `there is no download ${id}`)
    await tx.query(`DELETE FROM leases WHERE kind = 'read' AND owner = $1`, [`download ${id}`])
  })
}

/** The same for all downloads of a token. */
export async function revokeDownloadsOf(tx: Db, tokenId: string, now: Date): Promise<void> {
  const revoked = await tx.query<{ id: string }>(
    'UPDATE downloads SET expires_at = $2 WHERE created_by = $1 AND expires_at > $2 RETURNING id',
    [tokenId, now],
  )
  const owners = revoked.map(({ id }) => `download ${id}`)
  await tx.query(`DELETE FROM leases WHERE kind = 'read' AND owner = ANY($1::text[])`, [owners])
}

export async function getDownloadItem(db: Db, id: string, scope: Scope): Promise<DownloadItem> {
  const [row] = isUuid(id)
    ? await db.query<DownloadItem>(`${ITEM} WHERE d.id = $2 AND ($1::uuid IS NULL OR a.organisation_id = $1)`, [
        scope.organisationId,
        id,
      ])
    : []
  if (!row) throw new CofferError('NOT_FOUND', `there is no backup-download service instance ${id}`)
  return row
}

/**
 * Keeps the backup that a stream is reading from being deleted for another while; call it at the start and again within the grace
 * time. @throws LINK_EXPIRED when the backup is not there to be read any more
 */
export async function renewDownloadLease(db: Db, item: DownloadItem): Promise<void> {
  const renewed = await db.query(
    `UPDATE leases l SET expires_at = greatest(l.expires_at, now() + make_interval(secs => $3))
       FROM service_instance_backups s
      WHERE s.id = l.service_instance_backup_id AND s.state = 'COMPLETED' AND l.kind = 'read'
        AND l.service_instance_backup_id = $1 AND l.owner = $2 RETURNING l.id`,
    [item.service_instance_backup, `download ${item.download}`, GRACE_SECONDS],
  )
  if (renewed.length === 0)
    throw new CofferError('LINK_EXPIRED', `download ${item.download} has expired or its backup was deleted`)
}
