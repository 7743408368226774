import { randomUUID } from 'node:crypto'
import { localDate } from '../domain/local-time.ts'
import { policyClassOf, type Outcome, type State, type Trigger } from '../domain/states.ts'
import type { VerificationLevel } from '../domain/verification.ts'
import { CofferError } from '../errors.ts'
import { countUpTo } from './counting.ts'
import type { Catalog, Db } from './database.ts'
import { serviceInstanceBells } from './outbox.ts'
import { isUuid, type Page, type Scope } from './scope.ts'

/** A backup as the API shows it. `size` is the sum of the stored sizes in bytes, null until something is stored. */
export interface BackupView {
  uuid: string
  environment: string
  state: State
  success: Outcome | null
  trigger: Trigger
  notes: string
  service_instance_backups: string[]
  size: number | null
  created_at: Date
  ended_at: Date | null
  scheduled_for_deletion_at: Date | null
  /** The tiers of its service-instance backups, usually one. */
  labels: string[]
  /** Of a scheduled one: when it was due, and whether it was caught up later. */
  due_at: Date | null
  late: boolean
  hold: { reason: string; by: string | null; at: string } | null
  /** Deleted by hand: until then it can be undone. */
  delete_after: Date | null
  delete_reason: string | null
  /** What was verified of all its sealed parts: the weakest of their levels, and the earliest of their times. */
  verified: { level: VerificationLevel; at: string } | null
  /** Ids of the service-instance backups that are corrupt. */
  corrupt: string[]
}

const LEVELS = `ARRAY['metadata', 'checksum', 'drill']`
const SEALED = `success IN ('SUCCESS', 'PARTIAL')`

/** Of the service-instance backups of a group. */
export const VERIFIED_OF_ALL = `
  CASE WHEN bool_and(verified_at IS NOT NULL) FILTER (WHERE ${SEALED})
       THEN jsonb_build_object('level', (${LEVELS})[min(array_position(${LEVELS}, verified_level)) FILTER (WHERE ${SEALED})],
                               'at', min(verified_at) FILTER (WHERE ${SEALED})) END`

const VIEW = `
  SELECT b.id AS uuid, b.environment_id AS environment, b.state, b.success, b.trigger, b.notes,
         s.ids AS service_instance_backups, s.size, b.created_at, b.ended_at, b.scheduled_for_deletion_at,
         s.labels, b.due_at, b.late, b.delete_after, b.delete_reason, s.corrupt, s.verified,
         CASE WHEN b.held_at IS NULL THEN NULL
              ELSE jsonb_build_object('reason', b.hold_reason, 'by', b.held_by, 'at', b.held_at) END AS hold
    FROM backups b
    JOIN environments e ON e.id = b.environment_id
    JOIN applications a ON a.id = e.application_id
   CROSS JOIN LATERAL (SELECT coalesce(array_agg(id ORDER BY queued_at, id), '{}') AS ids, sum(stored_size)::bigint AS size,
                              coalesce(array_agg(DISTINCT label) FILTER (WHERE label IS NOT NULL), '{}') AS labels,
                              coalesce(array_agg(id ORDER BY id) FILTER (WHERE corrupt_at IS NOT NULL), '{}') AS corrupt, ${VERIFIED_OF_ALL} AS verified
                         FROM service_instance_backups WHERE backup_id = b.id) s`

export async function getBackup(db: Db, id: string, scope: Scope): Promise<BackupView> {
  const [row] = isUuid(id)
    ? await db.query<BackupView>(
        `${VIEW} WHERE b.id = $1 AND ($2::uuid IS NULL OR a.organisation_id = $2)`,
        [id, scope.organisationId],
        'backup',
      )
    : []
  if (!row) throw new CofferError('NOT_FOUND', `there is no backup ${id}`)
  return row
}

export interface BackupFilter {
  scope: Scope
  environmentId?: string | undefined
  state?: string | undefined
  success?: string | undefined
  trigger?: string | undefined
  createdAfter?: Date | undefined
  createdBefore?: Date | undefined
  /** Of one of its service-instance backups. */
  label?: string | undefined
  serviceType?: string | undefined
  page: Page
}

const FILTERS = `($1::uuid IS NULL OR a.organisation_id = $1) AND ($2::uuid IS NULL OR b.environment_id = $2)
    AND ($3::text IS NULL OR b.state = $3) AND ($4::text IS NULL OR b.success = $4) AND ($5::text IS NULL OR b.trigger = $5)
    AND ($6::timestamptz IS NULL OR b.created_at > $6) AND ($7::timestamptz IS NULL OR b.created_at < $7)
    AND (coalesce($8::text, $9) IS NULL
         OR EXISTS (SELECT 1 FROM service_instance_backups f JOIN service_instances si ON si.id = f.service_instance_id
                     WHERE f.backup_id = b.id AND ($8 IS NULL OR f.label = $8) AND ($9::text IS NULL OR si.type = $9)))`

/** Newest first. */
export async function listBackups(db: Db, filter: BackupFilter): Promise<{ rows: BackupView[]; count: number }> {
  const values = [
    filter.scope.organisationId,
    filter.environmentId ?? null,
    filter.state ?? null,
    filter.success ?? null,
    filter.trigger ?? null,
    filter.createdAfter ?? null,
    filter.createdBefore ?? null,
    filter.label ?? null,
    filter.serviceType ?? null,
  ]
  const rows = await db.query<BackupView>(
    `${VIEW} WHERE ${FILTERS} ORDER BY b.created_at DESC, b.id LIMIT $10 OFFSET $11`,
    [...values, filter.page.limit, filter.page.offset],
  )
  const counted = `SELECT 1 FROM backups b JOIN environments e ON e.id = b.environment_id
      JOIN applications a ON a.id = e.application_id WHERE ${FILTERS}`
  return { rows, count: await countUpTo(db, counted, values, filter.page) }
}

export interface NewBackup {
  environmentId: string
  /** Ids of service instances; absent or empty: all of the environment's. */
  services?: readonly string[] | undefined
  trigger: Trigger
  /** The due time that asks for a SCHEDULED one. `late`: it is caught up. */
  occurrence?: { scheduleId: string; dueAt: Date; late: boolean } | undefined
  notes: string
  scheduledForDeletionAt: Date | null
  maxTries: number
  scope: Scope
  now: Date
}

/**
 * One transaction: the backup, one service-instance backup for each service instance, and their doorbells.
 * @throws NOT_FOUND (environment or service), CONFLICT (nothing to back up)
 */
export const createBackup = (catalog: Catalog, input: NewBackup): Promise<BackupView> =>
  catalog.transaction(async (tx) => getBackup(tx, await insertBackup(tx, input), input.scope))

/** The same inside a transaction of the caller. @returns its id */
export async function insertBackup(tx: Db, input: NewBackup): Promise<string> {
  const { timezone, services } = await findEnvironment(tx, input)
  const { occurrence, now } = input
  const id = randomUUID()
  await tx.query(
    NEW_BACKUP,
    [
      id,
      input.environmentId,
      input.trigger,
      policyClassOf(input.trigger, input.scheduledForDeletionAt !== null),
      input.notes,
      localDate(occurrence?.dueAt ?? now, timezone),
      input.scheduledForDeletionAt,
      now,
      occurrence?.scheduleId ?? null,
      occurrence?.dueAt ?? null,
      occurrence?.late ?? false,
      chosenServices(services, input),
      input.maxTries,
    ],
    'new backup',
  )
  return id
}

// In one statement, since it is asked for more often than all else. An upload has nothing to take until its bytes are there.
const NEW_BACKUP = `
  WITH backup AS (
    INSERT INTO backups (id, environment_id, state, trigger, policy_class, notes, bucket_date, scheduled_for_deletion_at,
                         created_at, schedule_id, due_at, late)
    VALUES ($1, $2, 'QUEUED', $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id, trigger
  ), siblings AS (
    INSERT INTO service_instance_backups (id, backup_id, service_instance_id, tries_left, queued_at, not_before)
    SELECT gen_random_uuid(), id, service, $13, $8, CASE WHEN trigger = 'UPLOAD' THEN 'infinity' ELSE now() END
      FROM backup, unnest($12::uuid[]) AS service RETURNING *
  ) ${serviceInstanceBells('siblings', 'backup')}`

interface FoundEnvironment {
  timezone: string
  /** Ids of its service instances. */
  services: string[]
}

async function findEnvironment(tx: Db, { environmentId, scope }: NewBackup): Promise<FoundEnvironment> {
  const [row] = isUuid(environmentId)
    ? await tx.query<FoundEnvironment>(
        `SELECT e.timezone, ARRAY(SELECT id FROM service_instances WHERE environment_id = e.id AND deleted_at IS NULL
                                   ORDER BY type, prefix) AS services
           FROM environments e JOIN applications a ON a.id = e.application_id
          WHERE e.id = $1 AND e.deleted_at IS NULL AND a.deleted_at IS NULL
            AND ($2::uuid IS NULL OR a.organisation_id = $2) FOR SHARE OF e`,
        [environmentId, scope.organisationId],
        'environment to back up',
      )
    : []
  if (!row) throw new CofferError('NOT_FOUND', `there is no environment ${environmentId}`)
  return row
}

function chosenServices(known: readonly string[], { environmentId, services = [] }: NewBackup): readonly string[] {
  const wanted = [...new Set(services.map((id) => id.toLowerCase()))]
  const unknown = wanted.filter((id) => !known.includes(id))
  if (unknown.length > 0)
    throw new CofferError('NOT_FOUND', `environment ${environmentId} has no service instance ${unknown.join(', ')}`)
  if (known.length === 0)
    throw new CofferError(
      'CONFLICT',
      `environment ${environmentId} has no service instance, so there is nothing to back up`,
    )
  return wanted.length === 0 ? known : wanted
}
