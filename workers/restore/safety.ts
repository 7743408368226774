import type { ClaimedRestore } from '../../shared/catalog/restore-runs.ts'
import { CofferError } from '../../shared/errors.ts'
import type { Preflight } from './restorer.ts'

/** How what the target holds is protected before it is replaced. `needed`: not yet. Else for the report: the backup's id, or why there is none. */
export type Protection = { needed: true } | { needed: false; how: string; seconds: number }

/** Failures of a backup that say that there is nothing to back up. */
const NOTHING_THERE = new Set(['MEDIA_EMPTIED', 'MEDIA_ROOT_MISSING'])

/** @throws SAFETY_BACKUP_FAILED */
export function protectionOf(
  { safetyBackup, wantsSafetyBackup, target }: ClaimedRestore,
  { isEmpty }: Pick<Preflight, 'isEmpty'>,
): Protection {
  if (safetyBackup) {
    const { id, success, failure, seconds } = safetyBackup
    if (success === 'SUCCESS' || success === 'PARTIAL') return { needed: false, how: id, seconds }
    if (success === 'FAILURE' && failure && NOTHING_THERE.has(failure.code))
      return { needed: false, how: `none: there was nothing to protect (${failure.message})`, seconds }
    const why = success === 'FAILURE' && failure ? `${failure.code}, ${failure.message}` : `it ended ${success}`
    throw new CofferError('SAFETY_BACKUP_FAILED', `the safety backup ${id} of ${target.name} has failed: ${why}`)
  }
  if (isEmpty) return { needed: false, how: 'none: the target was empty', seconds: 0 }
  if (!wantsSafetyBackup) return { needed: false, how: 'none: it was not wanted', seconds: 0 }
  return { needed: true }
}

/** Before anything is written, and before an hour of dumping. @throws RESTORE_UNCONFIRMED, TARGET_INCOMPATIBLE: with all findings at once */
export function requireSound(
  { target, isConfirmed }: Pick<ClaimedRestore, 'target' | 'isConfirmed'>,
  { isEmpty, findings }: Preflight,
): void {
  const isUnconfirmed = !isEmpty && !target.isOrigin && !isConfirmed
  const all = [
    ...findings,
    ...(isUnconfirmed
      ? [`it holds data and is not where the backup is from: "confirm": "${target.name}" is needed`]
      : []),
  ]
  if (all.length === 0) return
  throw new CofferError(
    findings.length === 0 ? 'RESTORE_UNCONFIRMED' : 'TARGET_INCOMPATIBLE',
    `the target in ${target.name} can't be restored into: ${all.join('; ')}`,
    { details: { findings: all } },
  )
}
