import type { AlertKind, BackupEventKind } from '../domain/notification.ts'
import type { Outcome, PolicyClass } from '../domain/states.ts'
import type { Db } from './database.ts'
import { isUuid, type Page, type Scope } from './scope.ts'

/** What happened, as the API shows it and sinks are told it. Alerts make theirs by themselves: `<kind>.raised`, `<kind>.resolved`. */
export interface EventView {
  uuid: string
  kind: BackupEventKind | `${AlertKind}.raised` | `${AlertKind}.resolved`
  at: Date
  message: string
  /** Slugs; null: it concerns the whole installation, or an organisation. */
  organisation: string | null
  application: string | null
  environment_slug: string | null
  environment: string | null
  backup: string | null
  facts: Record<string, unknown>
}

export const EVENT_VIEW = `v.id AS uuid, v.kind, v.at, v.message, o.slug AS organisation, a.slug AS application,
  e.slug AS environment_slug, v.environment_id AS environment, v.backup_id AS backup, v.facts`
export const EVENT_FROM = `events v LEFT JOIN organisations o ON o.id = v.organisation_id
  LEFT JOIN environments e ON e.id = v.environment_id LEFT JOIN applications a ON a.id = e.application_id`

export interface EventFilter {
  scope: Scope
  environmentId?: string | undefined
  backupId?: string | undefined
  kind?: string | undefined
  page: Page
}

/** Newest first. */
export async function listEvents(db: Db, filter: EventFilter): Promise<{ rows: EventView[]; count: number }> {
  const where = `WHERE ($1::uuid IS NULL OR v.organisation_id = $1) AND ($2::uuid IS NULL OR v.environment_id = $2)
    AND ($3::uuid IS NULL OR v.backup_id = $3) AND ($4::text IS NULL OR v.kind = $4)`
  const values = [
    filter.scope.organisationId,
    filter.environmentId ?? null,
    filter.backupId ?? null,
    filter.kind ?? null,
  ]
  const rows = await db.query<EventView>(
    `SELECT ${EVENT_VIEW} FROM ${EVENT_FROM} ${where} ORDER BY v.seq DESC LIMIT $5 OFFSET $6`,
    [...values, filter.page.limit, filter.page.offset],
  )
  const [total] = await db.query<{ count: number }>(`SELECT count(*) FROM events v ${where}`, values)
  return { rows, count: total?.count ?? 0 }
}

/** Null: there is no such event. */
export async function findEvent(db: Db, id: string): Promise<EventView | null> {
  const [row] = isUuid(id)
    ? await db.query<EventView>(`SELECT ${EVENT_VIEW} FROM ${EVENT_FROM} WHERE v.id = $1`, [id])
    : []
  return row ?? null
}

interface Told {
  environmentId: string
  organisationId: string
  place: string
  facts: { policy_class: PolicyClass; trigger: string; notes: string; [fact: string]: unknown }
  /** What went wrong, by service instance. */
  errors: string[]
}

const BACKUP = `
  SELECT b.environment_id AS "environmentId", a.organisation_id AS "organisationId", a.slug || '/' || e.slug AS place,
         jsonb_build_object('trigger', b.trigger, 'policy_class', b.policy_class, 'due_at', b.due_at, 'late', b.late, 'notes', b.notes,
                            'created_at', b.created_at, 'size', s.size, 'service_instance_backups', s.parts) AS facts, s.errors
    FROM backups b JOIN environments e ON e.id = b.environment_id JOIN applications a ON a.id = e.application_id
   CROSS JOIN LATERAL (
     SELECT sum(p.stored_size)::bigint AS size,
            jsonb_agg(jsonb_build_object('uuid', p.id, 'service_type', i.type, 'prefix', i.prefix, 'success', p.success,
                                         'error', CASE WHEN p.success = 'FAILURE' THEN p.errors->-1->>'code' END) ORDER BY i.type, i.prefix) AS parts,
            coalesce(array_agg(i.type || ':' || i.prefix || ': ' || (p.errors->-1->>'message') ORDER BY i.type, i.prefix)
                     FILTER (WHERE p.success = 'FAILURE' AND jsonb_array_length(p.errors) > 0), '{}') AS errors
       FROM service_instance_backups p JOIN service_instances i ON i.id = p.service_instance_id WHERE p.backup_id = b.id) s
   WHERE b.id = $1`

async function tell(
  tx: Db,
  kind: BackupEventKind,
  backupId: string,
  now: Date,
  { message, told }: { message: string; told: Told },
) {
  await tx.query(
    `INSERT INTO events (kind, organisation_id, environment_id, backup_id, subject, at, message, facts)
     VALUES ($1, $2, $3, $4::uuid, 'backup ' || $4::uuid, $5, $6, $7)`,
    [kind, told.organisationId, told.environmentId, backupId, now, message, JSON.stringify(told.facts)],
  )
}

/** In the transaction that makes it RUNNING. */
export async function recordBackupStarted(tx: Db, backupId: string, now: Date): Promise<void> {
  const [told] = await tx.query<Told>(BACKUP, [backupId])
  if (told) await tell(tx, 'backup.started', backupId, now, { message: `${told.place}: a backup has begun`, told })
}

const ENDS = { SUCCESS: 'backup.success', PARTIAL: 'backup.partial', FAILURE: 'backup.failure' } as const
const SAID = {
  SUCCESS: 'the backup succeeded',
  PARTIAL: 'of the backup not everything could be read',
  FAILURE: 'the backup failed',
}

/**
 * In the transaction that ends it, once for each time that it ends. One that was cancelled is no news to whoever cancelled it. The first
 * success after a failure, or while the environment is overdue, is told as `backup.recovered` as well.
 */
export async function recordBackupEnd(tx: Db, backupId: string, success: Outcome, now: Date): Promise<void> {
  if (success === 'CANCELLED') return
  const [told] = await tx.query<Told>(BACKUP, [backupId])
  if (!told) return
  const message = [`${told.place}: ${SAID[success]}`, ...told.errors].join('; ')
  const counts = told.facts.policy_class === 'scheduled' || told.facts.policy_class === 'on_demand'
  const wasInTrouble = counts && success === 'SUCCESS' && (await isInTrouble(tx, told.environmentId))
  await tell(tx, ENDS[success], backupId, now, { message, told })
  if (wasInTrouble)
    await tell(tx, 'backup.recovered', backupId, now, { message: `${told.place}: backups succeed again`, told })
}

async function isInTrouble(tx: Db, environmentId: string): Promise<boolean> {
  // Two backups of the environment that end at once would both be the first.
  await tx.query(`SELECT pg_advisory_xact_lock(hashtext('coffer recovery ' || $1))`, [environmentId])
  const [row] = await tx.query<{ trouble: boolean }>(
    `SELECT coalesce((SELECT kind <> 'backup.success' FROM events
                       WHERE environment_id = $1 AND kind = ANY($2::text[]) AND facts->>'policy_class' IN ('scheduled', 'on_demand')
                       ORDER BY seq DESC LIMIT 1), false)
         OR (EXISTS (SELECT 1 FROM alerts WHERE kind = 'overdue' AND environment_id = $1 AND resolved_at IS NULL)
             AND NOT EXISTS (SELECT 1 FROM events v WHERE v.environment_id = $1 AND v.kind = 'backup.recovered' AND v.at >=
                   (SELECT min(raised_at) FROM alerts WHERE kind = 'overdue' AND environment_id = $1 AND resolved_at IS NULL))) AS trouble`,
    [environmentId, Object.values(ENDS)],
  )
  return row?.trouble ?? false
}

const KEPT_DAYS = 90

/** Forgets what is older than 90 days and waits for no sink any more, some at a time. */
export async function forgetOldEvents(db: Db, now: Date): Promise<void> {
  await db.query(
    `DELETE FROM events WHERE id IN (
       SELECT v.id FROM events v WHERE v.at < $1::timestamptz - make_interval(days => ${KEPT_DAYS})
          AND NOT EXISTS (SELECT 1 FROM notification_deliveries d WHERE d.event_id = v.id AND d.state = 'QUEUED') LIMIT 1000)`,
    [now],
  )
}
