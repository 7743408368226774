import { clearedBySuccessors, collapsedFrom, type SealedSize } from '../domain/size-collapse.ts'
import { raiseAlert, resolveAlert } from './alerts.ts'
import { getBackup, type BackupView } from './backups.ts'
import type { Catalog, Db } from './database.ts'
import { ringPruneOfBackup } from './prune-bells.ts'
import type { Scope } from './scope.ts'

const LOOKED_AT = 50

type Sealed = SealedSize & { serviceInstance: string; environmentId: string; prefix: string; type: string }

/**
 * Judges the size of one that was sealed just now, in the same transaction: under half of the median of the last five good ones, it is
 * suspect, unless it is the third like-sized one after a suspect one: then all of these are what is usual now.
 */
export async function judgeSize(tx: Db, id: string, now: Date): Promise<void> {
  const [sealed] = await tx.query<Sealed>(
    `SELECT s.id, s.plain_size AS "plainSize", false AS "isSuspect", s.service_instance_id AS "serviceInstance", si.prefix, si.type,
            si.environment_id AS "environmentId"
       FROM service_instance_backups s JOIN service_instances si ON si.id = s.service_instance_id
      WHERE s.id = $1 AND s.success = 'SUCCESS' AND s.plain_size IS NOT NULL`,
    [id],
  )
  if (!sealed) return
  const before = await sizesBefore(tx, sealed)
  const usual = collapsedFrom(sealed.plainSize, before)
  if (usual === null) return
  const cleared = clearedBySuccessors([{ ...sealed, isSuspect: true }, ...before])
  if (cleared.length > 0) return clearSuspects(tx, cleared, now)
  const reason = `its plain size is ${sealed.plainSize} bytes; that of the last good ones is ${usual} (median)`
  await tx.query('UPDATE service_instance_backups SET suspect_reason = $2 WHERE id = $1', [id, reason])
  const { environmentId, prefix, type } = sealed
  const message = `service-instance backup ${id} of ${prefix} (${type}) is suspect: ${reason}`
  await raiseAlert(tx, { kind: 'suspect', subject: id, environmentId, message }, now)
}

const sizesBefore = (tx: Db, { id, serviceInstance }: Sealed): Promise<SealedSize[]> =>
  tx.query<SealedSize>(
    `SELECT id, plain_size AS "plainSize", suspect_reason IS NOT NULL AND suspect_cleared_at IS NULL AS "isSuspect"
       FROM service_instance_backups
      WHERE service_instance_id = $1 AND id <> $2 AND state = 'COMPLETED' AND success = 'SUCCESS' AND plain_size IS NOT NULL
        AND corrupt_at IS NULL AND lost_at IS NULL AND unverified_at IS NULL
      ORDER BY ended_at DESC, id LIMIT $3`,
    [serviceInstance, id, LOOKED_AT],
  )

/** A person acknowledges the sizes: what is suspect of this backup is good from now on. Does nothing to one that isn't. @throws NOT_FOUND */
export function acknowledgeSize(catalog: Catalog, backupId: string, scope: Scope, now: Date): Promise<BackupView> {
  return catalog.transaction(async (tx) => {
    const backup = await getBackup(tx, backupId, scope)
    await clearSuspects(tx, backup.service_instance_backups, now)
    await ringPruneOfBackup(tx, backupId)
    return backup
  })
}

/** What is suspect of these is good from now on. */
export async function clearSuspects(tx: Db, ids: readonly string[], now: Date): Promise<void> {
  await tx.query(
    `UPDATE service_instance_backups SET suspect_cleared_at = $2
      WHERE id = ANY($1::uuid[]) AND suspect_reason IS NOT NULL AND suspect_cleared_at IS NULL`,
    [ids, now],
  )
  for (const id of ids) await resolveAlert(tx, { kind: 'suspect', subject: id }, now)
}
