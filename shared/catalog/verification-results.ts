import type { VerificationLevel, VerificationOutcome } from '../domain/verification.ts'
import { raiseAlert, resolveAlert, type Alert } from './alerts.ts'
import type { Db } from './database.ts'
import { clearSuspects } from './suspects.ts'
import type { VerificationSubject } from './verification-subjects.ts'

/** What a verification of one service-instance backup has found out. */
export interface VerificationResult {
  level: VerificationLevel
  outcome: VerificationOutcome
  /** In words; of a passed one it is not looked at. */
  message: string
}

/** A pass of the metadata says nothing about what a checksum has found, so that their alerts have subjects of their own. */
export const metadataOf = (id: string): string => `${id} metadata`

/** What alerts are about. A drill tells of the service instance, since the next one is of another backup; metadata is looked at by environment. */
function subjectsOf({ id, environmentId, serviceInstanceId }: VerificationSubject, level: VerificationLevel) {
  if (level === 'drill') return { unreadable: serviceInstanceId, failed: serviceInstanceId }
  return level === 'metadata' ? { unreadable: environmentId, failed: metadataOf(id) } : { unreadable: id, failed: id }
}

/** Levels that read every byte, so that they can take back that it is corrupt. */
const READS_BYTES: ReadonlySet<VerificationLevel> = new Set(['checksum', 'drill'])

/**
 * Writes what was found to the service-instance backup and its alerts. What could not be read changes nothing but an alert. Does nothing to
 * one that is being deleted meanwhile.
 */
export async function applyResult(
  tx: Db,
  subject: VerificationSubject,
  { level, outcome, message }: VerificationResult,
  now: Date,
): Promise<void> {
  const [row] = await tx.query(
    `SELECT 1 FROM service_instance_backups WHERE id = $1 AND state = 'COMPLETED' FOR UPDATE`,
    [subject.id],
  )
  if (!row) return
  const named = `${level} verification of service-instance backup ${subject.id} of ${subject.prefix} (${subject.serviceType}): ${message}`
  const alert = (kind: Alert['kind'], key: string) =>
    raiseAlert(tx, { kind, subject: key, environmentId: subject.environmentId, message: named }, now)
  const resolve = (kind: Alert['kind'], key: string) => resolveAlert(tx, { kind, subject: key }, now)
  const { unreadable, failed } = subjectsOf(subject, level)

  if (outcome === 'unreadable') return alert('verify-unreadable', unreadable)
  await resolve('verify-unreadable', unreadable)
  if (outcome === 'lost') {
    await mark(tx, subject.id, 'lost_at = coalesce(lost_at, $2)', now)
    return alert('lost', subject.id)
  }
  await mark(tx, subject.id, 'lost_at = NULL', null)
  await resolve('lost', subject.id)
  if (outcome === 'corrupt') {
    await mark(tx, subject.id, 'corrupt_at = coalesce(corrupt_at, $2), corrupt_reason = $3', now, message)
    return alert('corrupt', subject.id)
  }
  if (READS_BYTES.has(level)) {
    await mark(tx, subject.id, 'corrupt_at = NULL, corrupt_reason = NULL', null)
    await resolve('corrupt', subject.id)
  }
  const kind = level === 'drill' ? 'drill-failed' : 'verify-failed'
  if (outcome === 'failed') return alert(kind, failed)
  await resolve(kind, failed)
  if (READS_BYTES.has(level)) await resolve('verify-failed', metadataOf(subject.id))
  await pass(tx, subject.id, level, now)
  if (level === 'drill') await clearSuspects(tx, [subject.id], now)
}

async function mark(tx: Db, id: string, what: string, ...values: readonly unknown[]): Promise<void> {
  const used = values.filter((value) => value !== null)
  await tx.query(`UPDATE service_instance_backups SET ${what} WHERE id = $1`, [id, ...used])
}

/** A stronger level proves what the weaker ones do; a weaker one leaves standing what a stronger one has proven. */
async function pass(tx: Db, id: string, level: VerificationLevel, now: Date): Promise<void> {
  const strength = (name: string) => `array_position(ARRAY['metadata', 'checksum', 'drill'], ${name})`
  const isAsStrong = `${strength('$2')} >= coalesce(${strength('verified_level')}, 0)`
  await tx.query(
    `UPDATE service_instance_backups
        SET metadata_verified_at = $3,
            checksum_verified_at = CASE WHEN $2 <> 'metadata' THEN $3 ELSE checksum_verified_at END,
            verified_at = CASE WHEN ${isAsStrong} THEN $3 ELSE verified_at END,
            verified_level = CASE WHEN ${isAsStrong} THEN $2 ELSE verified_level END
      WHERE id = $1`,
    [id, level, now],
  )
}

/** The same for many whose metadata passed: a statement or two for all of them. */
export async function passMetadata(tx: Db, ids: readonly string[], now: Date): Promise<void> {
  await tx.query(
    `UPDATE service_instance_backups SET metadata_verified_at = $2, lost_at = NULL,
            verified_at = CASE WHEN verified_level IN ('checksum', 'drill') THEN verified_at ELSE $2 END,
            verified_level = coalesce(verified_level, 'metadata')
      WHERE id = ANY($1::uuid[]) AND state = 'COMPLETED'`,
    [ids, now],
  )
  await tx.query(
    `UPDATE alerts SET resolved_at = $3 WHERE resolved_at IS NULL
        AND (kind = 'lost' AND subject = ANY($1::text[]) OR kind = 'verify-failed' AND subject = ANY($2::text[]))`,
    [ids, ids.map(metadataOf), now],
  )
}
