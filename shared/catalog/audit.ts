import { countUpTo } from './counting.ts'
import type { Db } from './database.ts'
import { isUuid, type Page, type Scope } from './scope.ts'

/** One line of the audit log before it is written. */
export interface AuditEntry {
  at: Date
  /** null: nobody that we know. */
  actor: { tokenId: string; name: string; organisationId: string | null } | null
  address: string
  /** The method and path of a route, or `login`. */
  action: string
  /** Ids of what it is about; text that is no id is left out. */
  targets: readonly string[]
  /** null: it begins, and a second line of the same request says how it ended. */
  status: number | null
  /** Of a refusal or failure: its code in FAILURES. */
  code: string | null
  /** Fields of the request, without secret values. */
  changes: Readonly<Record<string, unknown>>
  requestId: string
}

/** Whose a thing is, for lines about an organisation's things by a token of the whole installation. */
const ORGANISATION_OF_TARGETS = `
  SELECT id FROM organisations WHERE id = ANY($7::uuid[])
   UNION ALL SELECT organisation_id FROM tokens WHERE id = ANY($7::uuid[])
   UNION ALL SELECT organisation_id FROM notification_sinks WHERE id = ANY($7::uuid[])
   UNION ALL SELECT organisation_id FROM applications WHERE id = ANY($7::uuid[])
   UNION ALL SELECT a.organisation_id FROM applications a JOIN environments e ON e.application_id = a.id WHERE e.id IN (
     SELECT id FROM environments WHERE id = ANY($7::uuid[])
      UNION ALL SELECT environment_id FROM service_instances WHERE id = ANY($7::uuid[])
      UNION ALL SELECT environment_id FROM verifications WHERE id = ANY($7::uuid[])
      UNION ALL SELECT environment_id FROM backups WHERE id IN (
        SELECT unnest($7::uuid[])
         UNION ALL SELECT backup_id FROM service_instance_backups WHERE id = ANY($7::uuid[])
         UNION ALL SELECT backup_id FROM restores WHERE id = ANY($7::uuid[])
         UNION ALL SELECT d.backup_id FROM downloads d WHERE d.id = ANY($7::uuid[])
            OR d.id IN (SELECT download_id FROM download_service_instances WHERE id = ANY($7::uuid[]))))
   LIMIT 1`

/** Adds a line: the log is only ever added to, and the database refuses anything else. */
export async function writeAudit(db: Db, entry: AuditEntry): Promise<void> {
  await db.query(
    `INSERT INTO audit (at, token_id, token_name, organisation_id, address, action, targets, status, code, changes, request_id)
     VALUES ($1, $2, $3, coalesce($4, (${ORGANISATION_OF_TARGETS})), $5, $6, $7, $8, $9, $10, $11)`,
    [
      entry.at,
      entry.actor?.tokenId ?? null,
      entry.actor?.name ?? null,
      entry.actor?.organisationId ?? null,
      entry.address,
      entry.action,
      [...new Set(entry.targets.filter(isUuid).map((id) => id.toLowerCase()))],
      entry.status,
      entry.code,
      entry.changes,
      entry.requestId,
    ],
    'line of the audit log',
  )
}

/** A line as the API shows it. */
export interface AuditView {
  id: number
  at: Date
  token: string | null
  token_name: string | null
  organisation: string | null
  address: string
  action: string
  targets: string[]
  status: number | null
  code: string | null
  changes: Record<string, unknown>
  request_id: string
}

export interface AuditFilter {
  scope: Scope
  /** The id of a token. */
  actor?: string | undefined
  /** Part of the action's text. */
  action?: string | undefined
  target?: string | undefined
  since?: Date | undefined
  until?: Date | undefined
  page: Page
}

/** Newest first. An organisation sees what its own tokens did, and what was done to its own things. */
export async function listAudit(db: Db, filter: AuditFilter): Promise<{ rows: AuditView[]; count: number }> {
  const query = `
    SELECT id, at, token_id AS token, token_name, organisation_id AS organisation, address, action, targets, status, code,
           changes, request_id
      FROM audit
     WHERE ($1::uuid IS NULL OR organisation_id = $1) AND ($2::uuid IS NULL OR token_id = $2)
       AND ($3::text IS NULL OR strpos(lower(action), lower($3)) > 0) AND ($4::uuid IS NULL OR targets @> ARRAY[$4::uuid])
       AND ($5::timestamptz IS NULL OR at >= $5) AND ($6::timestamptz IS NULL OR at < $6)`
  const values = [
    filter.scope.organisationId,
    filter.actor ?? null,
    filter.action ?? null,
    filter.target ?? null,
    filter.since ?? null,
    filter.until ?? null,
  ]
  const rows = await db.query<AuditView>(`${query} ORDER BY id DESC LIMIT $7 OFFSET $8`, [
    ...values,
    filter.page.limit,
    filter.page.offset,
  ])
  return { rows, count: await countUpTo(db, query, values, filter.page) }
}
