import type { ProgressRow } from './progress.ts'
import { RateMeter } from './rate.ts'
import type { ServiceInstanceBackup } from './resources.ts'
import { formatBytes, formatCount, formatShare, formatTime } from './text.ts'

/** Turns what the producer says about running service-instance backups into rows; remembers them for the rate. */
export class BackupProgress {
  readonly #meters = new Map<string, RateMeter>()

  rows(backups: readonly ServiceInstanceBackup[]): ProgressRow[] {
    return backups.map((backup) => {
      const meter = this.#meters.get(backup.uuid) ?? new RateMeter()
      this.#meters.set(backup.uuid, meter)
      if (backup.progress) meter.add(backup.progress.plain_bytes, Date.parse(backup.progress.updated_at))
      return {
        key: backup.uuid,
        state: `${backup.state} ${backup.attempt}`,
        line: backupLine(backup, meter.perSecond),
      }
    })
  }
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

function runningParts(backup: ServiceInstanceBackup, rate: number | null): string[] {
  const { progress, attempt } = backup
  const state = backup.state.toLowerCase() + (attempt > 1 ? ` (attempt ${attempt})` : '')
  if (!progress) return [state]
  const { plain_bytes: bytes, expected_bytes: expected, files } = progress
  return [
    state,
    // The expectation is a guess, so it is never shown as reached before the end.
    ...(expected ? [formatShare(Math.min(bytes / expected, 0.99))] : []),
    expected ? `${formatBytes(bytes)} of about ${formatBytes(expected)}` : formatBytes(bytes),
    ...(rate !== null && backup.state === 'RUNNING' ? [`${formatBytes(rate)}/s`] : []),
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
