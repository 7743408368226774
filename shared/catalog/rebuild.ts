import type { BackupState, Manifest } from '../domain/manifest.ts'
import { outcomeOfBackup, policyClassOf } from '../domain/states.ts'
import { raiseAlert } from './alerts.ts'
import type { Catalog, Db } from './database.ts'
import { stopPruningIn } from './pruning.ts'
import { ensureOwner, NOTHING_MADE, type Made } from './rebuild-names.ts'
import { closeParent } from './run-ends.ts'

/** One sealed service-instance backup as a store has it. */
export interface FoundPart {
  manifest: Manifest
  /** The manifest's own text. */
  text: string
  keyPrefix: string
  isGenuine: boolean
  missing: readonly string[]
  /** null: there is no state.json that can be read. */
  state: BackupState | null
}

/** What became of one of them. Nothing that the catalog has is changed, unless it is `adopted`: then the catalog had not come so far. */
export type PartFate =
  { fate: 'added' | 'adopted' | 'known' } | { fate: 'differs'; what: string } | { fate: 'refused'; what: string }

export interface RebuiltBackup {
  fates: PartFate[]
  made: Made
  environmentId: string
}

const DISARMED =
  'backups were found that the catalog did not know; look at "retention preview", then allow it: "environment resume-pruning"'

/**
 * Adds what the catalog lacks of one backup, all in one transaction: its owners, the backup, its service-instance backups. Where anything
 * was added, the environment's pruning is stopped.
 * @param parts of one backup; all genuine, or none
 */
export function rebuildBackup(
  catalog: Catalog,
  parts: readonly [FoundPart, ...FoundPart[]],
  store: { id: string; isDefault: boolean },
  now: Date,
): Promise<RebuiltBackup> {
  return catalog.transaction(async (tx) => {
    const [first] = parts
    const backupId = first.manifest.backup.id
    const [backup] = await tx.query<{ environment_id: string; state: string }>(
      'SELECT environment_id, state FROM backups WHERE id = $1 FOR UPDATE',
      [backupId],
    )
    const made = { ...NOTHING_MADE }
    const environmentId = backup?.environment_id ?? first.manifest.environment.id
    const rebuilt: RebuiltBackup = { fates: [], made, environmentId }
    if (backup && (backup.state === 'DELETING' || backup.state === 'DELETED'))
      return { ...rebuilt, fates: parts.map(() => differs(`the catalog has it as ${backup.state}`)) }
    for (const part of parts) {
      const known = await findRow(tx, part)
      if (known) rebuilt.fates.push(await meet(tx, part, known, store.id))
      else if (backup && !part.isGenuine)
        rebuilt.fates.push({ fate: 'refused', what: 'it is not signed, and its backup is known without it' })
      else rebuilt.fates.push(await add(tx, part, parts, store, made, now))
    }
    const changed = parts.find((_, index) => ['added', 'adopted'].includes(rebuilt.fates[index]?.fate ?? ''))
    if (!changed) return rebuilt
    if (backup) await closeParent(tx, changed.manifest.service_instance_backup.id, now)
    await stopPruningIn(tx, environmentId, DISARMED, now)
    return rebuilt
  })
}

interface KnownRow {
  backup_id: string
  state: string
  success: string | null
  attempt: number
  manifest: string | null
  is_leased: boolean
}

async function findRow(tx: Db, { manifest }: FoundPart): Promise<KnownRow | null> {
  const { id, service_instance } = manifest.service_instance_backup
  const [row] = await tx.query<KnownRow>(
    `SELECT s.backup_id, s.state, s.success, s.attempt, s.manifest,
            EXISTS (SELECT 1 FROM leases l WHERE l.kind = 'run' AND l.service_instance_backup_id = s.id AND l.expires_at > now()) AS is_leased
       FROM service_instance_backups s WHERE s.id = $1 OR (s.backup_id = $2 AND s.service_instance_id = $3)
      ORDER BY s.id = $1 DESC LIMIT 1 FOR UPDATE OF s`,
    [id, manifest.backup.id, service_instance],
  )
  return row ?? null
}

/** The catalog knows it. A restored older catalog may not know that an attempt was begun after it, or was sealed. */
async function meet(tx: Db, part: FoundPart, row: KnownRow, storeId: string): Promise<PartFate> {
  const { backup, service_instance_backup: found } = part.manifest
  if (row.backup_id !== backup.id) return differs(`its id is that of a part of backup ${row.backup_id}`)
  const isSealed = row.state === 'COMPLETED' && (row.success === 'SUCCESS' || row.success === 'PARTIAL')
  if (isSealed && row.attempt === found.attempt)
    return row.manifest === part.text
      ? { fate: 'known' }
      : differs('the manifest in the store is another than was sealed')
  if (isSealed || row.state === 'DELETING' || row.state === 'DELETED')
    return differs(`the catalog has it as ${row.state} with attempt ${row.attempt}`)
  if (row.is_leased) return differs('it is running at this moment')
  const isUnfinished = row.state === 'RUNNING' || row.state === 'SEALING'
  if (found.attempt < row.attempt || (found.attempt === row.attempt && !isUnfinished))
    return differs(`the catalog has given up attempt ${found.attempt}`)
  if (!part.isGenuine) return { fate: 'refused', what: 'it is not signed, and the catalog knows it unfinished' }
  if (part.missing.length > 0) return differs(`the store lacks ${part.missing.join(', ')}`)
  await tx.query(`DELETE FROM leases WHERE kind = 'run' AND service_instance_backup_id = $1`, [found.id])
  await tx.query(
    `UPDATE service_instance_backups SET progress = NULL, cancel_requested_at = NULL, suspect_reason = NULL WHERE id = $1`,
    [found.id],
  )
  await writeSealed(tx, part, storeId)
  return { fate: 'adopted' }
}

const differs = (what: string): PartFate => ({ fate: 'differs', what })

async function add(
  tx: Db,
  part: FoundPart,
  parts: readonly FoundPart[],
  store: { id: string; isDefault: boolean },
  made: Made,
  now: Date,
): Promise<PartFate> {
  const { manifest } = part
  const { id, service_instance } = manifest.service_instance_backup
  const owner = await ensureOwner(tx, manifest, store.isDefault ? null : store.id, now)
  for (const kind of Object.keys(made) as (keyof Made)[]) made[kind] += owner.made[kind]
  await insertBackup(tx, parts)
  await tx.query(
    `INSERT INTO service_instance_backups (id, backup_id, service_instance_id, tries_left, queued_at, state)
     VALUES ($1, $2, $3, 0, $4, 'QUEUED')`,
    [id, manifest.backup.id, service_instance, manifest.backup.created_at],
  )
  await writeSealed(tx, part, store.id)
  const marks = [id, part.isGenuine ? null : now, part.missing.length > 0 ? now : null]
  await tx.query('UPDATE service_instance_backups SET unverified_at = $2, lost_at = $3 WHERE id = $1', marks)
  if (part.missing.length > 0) {
    const message = `the store lacks ${part.missing.join(', ')} of service-instance backup ${id}`
    await raiseAlert(tx, { kind: 'lost', subject: id, environmentId: owner.environmentId, message }, now)
  }
  return { fate: 'added' }
}

/** What may have changed since the seal is in state.json; where those of siblings disagree, the one that keeps longest counts. */
async function insertBackup(tx: Db, parts: readonly FoundPart[]): Promise<void> {
  const [first] = parts
  if (!first) return
  const { backup, environment } = first.manifest
  const states = parts.map(({ state }) => state)
  const hold = states.find((state) => state?.hold)?.hold ?? null
  const dates = states.map((state) => state?.scheduled_for_deletion_at ?? null)
  const deleteAt = dates.includes(null) ? null : (dates.toSorted().at(-1) ?? null)
  const policyClass =
    backup.policy_class === 'temporary' && deleteAt === null
      ? policyClassOf(backup.trigger, false)
      : backup.policy_class
  const outcomes = parts.map(({ manifest }) => manifest.service_instance_backup.success)
  await tx.query(
    `INSERT INTO backups (id, environment_id, state, success, trigger, policy_class, notes, schedule_id, due_at, bucket_date,
                          scheduled_for_deletion_at, hold_reason, held_at, created_at, ended_at)
     VALUES ($1, $2, 'COMPLETED', $3, $4, $5, $6,
             (SELECT s.id FROM schedules s WHERE s.id = $7
                 AND NOT EXISTS (SELECT 1 FROM backups o WHERE o.schedule_id = s.id AND o.due_at = $8)),
             $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (id) DO NOTHING`,
    [
      backup.id,
      environment.id,
      outcomeOfBackup(outcomes),
      backup.trigger,
      policyClass,
      backup.notes,
      backup.schedule,
      backup.due_at,
      backup.bucket_date,
      deleteAt,
      hold?.reason ?? null,
      hold?.since ?? null,
      backup.created_at,
      parts
        .map(({ manifest }) => manifest.ended_at)
        .toSorted()
        .at(-1),
    ],
  )
}

async function writeSealed(tx: Db, { manifest, text, keyPrefix, state }: FoundPart, storeId: string): Promise<void> {
  const { service_instance_backup: part, artifacts, contents } = manifest
  const sum = (size: 'plain_size' | 'stored_size') => artifacts.reduce((total, record) => total + record[size], 0)
  await tx.query(
    `UPDATE service_instance_backups
        SET state = 'COMPLETED', success = $2, attempt = $3, label = $4, store_id = $5, key_prefix = $6, manifest = $7,
            recipients = $8, plain_size = $9, stored_size = $10, files = $11, warnings = $12, started_at = $13, ended_at = $14,
            taken_at = $15
      WHERE id = $1`,
    [
      part.id,
      part.success,
      part.attempt,
      state?.label ?? null,
      storeId,
      keyPrefix,
      text,
      manifest.recipients,
      sum('plain_size'),
      sum('stored_size'),
      contents.kind === 'media' ? contents.files : null,
      JSON.stringify(part.warnings),
      manifest.started_at,
      manifest.ended_at,
      manifest.taken_at,
    ],
  )
  await tx.query('DELETE FROM artifacts WHERE service_instance_backup_id = $1', [part.id])
  for (const record of artifacts)
    await tx.query(
      'INSERT INTO artifacts (service_instance_backup_id, attempt, kind, key, record) VALUES ($1, $2, $3, $4, $5)',
      [part.id, part.attempt, record.kind, record.key, JSON.stringify(record)],
    )
}
