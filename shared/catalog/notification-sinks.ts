import type { SinkType, WebhookFormat } from '../domain/notification.ts'
import { CofferError } from '../errors.ts'
import { resolveAlert } from './alerts.ts'
import type { Catalog, Db } from './database.ts'
import { isUuid, type Page, type Scope } from './scope.ts'

/** Who is told, as the API shows it: `target` is what may be shown of its address, which is a secret. */
export interface SinkView {
  uuid: string
  /** null: the whole installation, which is told of every organisation and of what concerns none. */
  organisation: string | null
  name: string
  type: SinkType
  format: WebhookFormat | null
  target: string
  /** null: all. */
  environments: string[] | null
  kinds: string[] | null
  /** How many events wait for it. */
  queued: number
  /** Why the last delivery failed; null when it went through. */
  last_error: string | null
  created_at: Date
}

const VIEW = `SELECT n.id AS uuid, n.organisation_id AS organisation, n.name, n.type, n.format, n.target, n.environment_ids AS environments,
    n.kinds, (SELECT count(*) FROM notification_deliveries d WHERE d.sink_id = n.id AND d.state = 'QUEUED') AS queued,
    n.last_error, n.created_at FROM notification_sinks n`
const IN_SCOPE = 'n.deleted_at IS NULL AND ($1::uuid IS NULL OR n.organisation_id = $1)'

export async function getSink(db: Db, id: string, { organisationId }: Scope): Promise<SinkView> {
  const [row] = isUuid(id)
    ? await db.query<SinkView>(`${VIEW} WHERE ${IN_SCOPE} AND n.id = $2`, [organisationId, id])
    : []
  if (!row) throw new CofferError('NOT_FOUND', `there is no notification sink ${id}`)
  return row
}

export async function listSinks(
  db: Db,
  { organisationId }: Scope,
  page: Page,
): Promise<{ rows: SinkView[]; count: number }> {
  const rows = await db.query<SinkView>(`${VIEW} WHERE ${IN_SCOPE} ORDER BY n.name, n.id LIMIT $2 OFFSET $3`, [
    organisationId,
    page.limit,
    page.offset,
  ])
  const [total] = await db.query<{ count: number }>(`SELECT count(*) FROM notification_sinks n WHERE ${IN_SCOPE}`, [
    organisationId,
  ])
  return { rows, count: total?.count ?? 0 }
}

export interface NewSink {
  /** Given by the caller, since the encrypted secret is bound to it. */
  id: string
  organisationId: string | null
  name: string
  type: SinkType
  format: WebhookFormat | null
  target: string
  secret: Buffer
  environmentIds: string[] | null
  kinds: readonly string[] | null
  exceptKinds: readonly string[]
  now: Date
}

export async function createSink(db: Db, sink: NewSink): Promise<void> {
  await db.query(
    `INSERT INTO notification_sinks (id, organisation_id, name, type, format, target, secret, environment_ids, kinds, except_kinds, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
    [
      sink.id,
      sink.organisationId,
      sink.name,
      sink.type,
      sink.format,
      sink.target,
      sink.secret,
      sink.environmentIds,
      sink.kinds,
      sink.exceptKinds,
      sink.now,
    ],
  )
}

/** What a sender needs; only for sending. */
export interface SinkToSend {
  id: string
  organisationId: string | null
  name: string
  type: SinkType
  format: WebhookFormat | null
  secret: Buffer
}

export const SINK_TO_SEND = `n.id, n.organisation_id AS "organisationId", n.name, n.type, n.format, n.secret`

/** @throws NOT_FOUND */
export async function getSinkToSend(db: Db, id: string, scope: Scope): Promise<SinkToSend> {
  await getSink(db, id, scope)
  const [row] = await db.query<SinkToSend>(`SELECT ${SINK_TO_SEND} FROM notification_sinks n WHERE n.id = $1`, [id])
  if (!row) throw new CofferError('NOT_FOUND', `there is no notification sink ${id}`)
  return row
}

export interface SinkChanges {
  name?: string | undefined
  /** Its secret and what may be shown of it; what waits for it goes to the new address. */
  address?: { target: string; secret: Buffer } | undefined
  environmentIds?: string[] | null | undefined
  /** null: all but `exceptKinds`. */
  kinds?: { kinds: readonly string[] | null; exceptKinds: readonly string[] } | undefined
}

/** @throws NOT_FOUND */
export async function updateSink(db: Db, id: string, scope: Scope, changes: SinkChanges): Promise<SinkView> {
  await getSink(db, id, scope)
  const { name, address, environmentIds, kinds } = changes
  await db.query(
    `UPDATE notification_sinks SET name = coalesce($2, name), target = coalesce($3, target), secret = coalesce($4, secret),
            environment_ids = CASE WHEN $5 THEN $6::uuid[] ELSE environment_ids END,
            kinds = CASE WHEN $7 THEN $8::text[] ELSE kinds END,
            except_kinds = CASE WHEN $7 THEN $9::text[] ELSE except_kinds END
      WHERE id = $1`,
    [
      id,
      name ?? null,
      address?.target ?? null,
      address?.secret ?? null,
      environmentIds !== undefined,
      environmentIds ?? null,
      kinds !== undefined,
      kinds?.kinds ?? null,
      kinds?.exceptKinds ?? null,
    ],
  )
  return getSink(db, id, scope)
}

/** What waits for it is given up. @throws NOT_FOUND */
export async function deleteSink(catalog: Catalog, id: string, scope: Scope, now: Date): Promise<void> {
  await catalog.transaction(async (tx) => {
    await getSink(tx, id, scope)
    await tx.query('UPDATE notification_sinks SET deleted_at = $2 WHERE id = $1', [id, now])
    await tx.query(
      `UPDATE notification_deliveries SET state = 'GAVE_UP', error = 'the sink was deleted', ended_at = $2
        WHERE sink_id = $1 AND state = 'QUEUED'`,
      [id, now],
    )
    await resolveAlert(tx, { kind: 'notify-failed', subject: id }, now)
  })
}
