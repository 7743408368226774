import type { ProgressRow } from './progress.ts'
import type { Rates } from './rate.ts'
import type { RunProgress, ServiceInstanceBackup } from './resources/backups.ts'
import { formatBytes, formatBytesOf, formatCount, formatShare, formatTime } from './text.ts'

/** The rows of service-instance backups; `rates` remembers them from one call to the next. */
export function backupRows(backups: readonly ServiceInstanceBackup[], rates: Rates): ProgressRow[] {
  return backups.map((backup) => ({
    key: backup.uuid,
    state: `${backup.state} ${backup.attempt}`,
    line: backupLine(backup, rates.of(backup)),
  }))
}

/** `rate` in bytes per second. */
export function backupLine(backup: ServiceInstanceBackup, rate: number | null): string {
  return [`${backup.service_type} ${backup.prefix}`, ...parts(backup, rate)].join('  ')
}

function parts(backup: ServiceInstanceBackup, rate: number | null): string[] {
  if (backup.state === 'QUEUED') return queuedParts(backup)
  if (backup.state === 'RUNNING' || backup.state === 'SEALING') return runningParts(backup, rate)
  return [endedText(backup)]
}

function queuedParts({ errors, retry_at: retryAt }: ServiceInstanceBackup): string[] {
  const last = errors.at(-1)
  return last ? [`queued again, not before ${formatTime(retryAt)}`, last.message] : ['queued']
}

function runningParts({ state, attempt, progress }: ServiceInstanceBackup, rate: number | null): string[] {
  const again = attempt > 1 ? [`attempt ${attempt}`] : []
  if (state === 'RUNNING' && progress) return [...again, ...progressParts(progress, rate)]
  return [...again, state.toLowerCase()]
}

/** Share, bytes, rate and files so far, short enough for a narrow terminal. */
export function progressParts(progress: RunProgress, rate: number | null): string[] {
  const { plain_bytes: bytes, expected_bytes: expected, files } = progress
  // The expectation is the size of the last backup: a guess, which says nothing any more once it is exceeded.
  const isGuessed = typeof expected === 'number' && bytes < expected
  return [
    ...(isGuessed ? [formatShare(bytes / expected), formatBytesOf(bytes, expected)] : [formatBytes(bytes)]),
    ...(rate === null ? [] : [`${formatBytes(rate)}/s`]),
    ...(typeof files === 'number' ? [formatCount(files, 'file')] : []),
  ]
}

/** `success, 1.2 GiB`, or what failed. */
export function endedText({ success, size, errors, state }: ServiceInstanceBackup): string {
  const outcome = (success ?? state).toLowerCase()
  const last = errors.at(-1)
  if (success === 'FAILURE' && last) return `${outcome}: ${last.message}`
  return typeof size === 'number' ? `${outcome}, ${formatBytes(size)}` : outcome
}
