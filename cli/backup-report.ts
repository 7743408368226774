import type { Api } from './api.ts'
import { backupRows, endedText } from './backup-progress.ts'
import type { Context } from './context.ts'
import { exitCodeOfOutcome } from './exit-codes.ts'
import { BACKUPS } from './names.ts'
import type { Result } from './output.ts'
import { openProgress } from './progress.ts'
import { Rates } from './rate.ts'
import { Backup, ServiceInstanceBackup } from './resources/backups.ts'
import type { RunError } from './resources/backups.ts'
import { fields, formatBytes, formatTime } from './text.ts'
import { deadline, waitUntil } from './waiting.ts'

export interface WholeBackup {
  backup: Backup
  services: ServiceInstanceBackup[]
}

/** The backup first: what its parts say then is at least as new. */
export async function readBackup(api: Api, uuid: string): Promise<WholeBackup> {
  const backup = await api.get(`${BACKUPS}${encodeURIComponent(uuid)}/`, Backup)
  const services = await api.list('/apps/v3/service-instance-backups/', { backup: uuid }, ServiceInstanceBackup)
  return { backup, services }
}

/** Waits until the backup has ended, showing how it goes; the exit code is its outcome. */
export async function followBackup(context: Context, uuid: string, timeoutMs: number | undefined): Promise<Result> {
  using limit = deadline(timeoutMs, `backup ${uuid}`, { backup: uuid })
  const rates = new Rates()
  using display = openProgress(context.output, context.now)
  const api = context.api.until(limit.signal)
  const whole = await waitUntil(
    () => readBackup(api, uuid),
    ({ backup }) => backup.success !== null,
    ({ services }) => display.show(backupRows(services, rates)),
    { ...context, signal: api.signal },
  )
  return { ...reported(whole), exit: exitCodeOfOutcome(whole.backup.success) }
}

export function reported({ backup, services }: WholeBackup): Result {
  const { uuid, state, success, trigger, notes, created_at: created, ended_at: ended, size } = backup
  const lines = fields({
    backup: uuid,
    result: success ?? state,
    trigger,
    created: formatTime(created),
    ended: formatTime(ended),
    ...(typeof size === 'number' ? { size: formatBytes(size) } : {}),
    ...(notes === '' ? {} : { notes }),
    ...keeping(backup),
  })
  return {
    document: { ...backup, service_instance_backup_details: services },
    lines: [...lines, ...services.flatMap(serviceLines)],
  }
}

/** What decides how long it stays. */
function keeping({ labels, late, hold, ...backup }: Backup): Record<string, string> {
  const { delete_after: deleteAfter, scheduled_for_deletion_at: date } = backup
  return {
    ...(labels.length === 0 ? {} : { label: labels.join(', ') }),
    ...(late ? { late: 'taken after its due time' } : {}),
    ...(hold ? { held: `${hold.reason} (${hold.by ?? 'unknown'}, ${formatTime(hold.at)})` } : {}),
    ...(date ? { 'deletion date': formatTime(date) } : {}),
    ...(deleteAfter ? { 'is deleted': `after ${formatTime(deleteAfter)}; until then "backup undelete" keeps it` } : {}),
  }
}

function serviceLines(service: ServiceInstanceBackup): string[] {
  const { service_type: type, prefix, uuid, state, success, errors, warnings, attempt } = service
  const text = success === null ? `${state} (attempt ${attempt})` : endedText(service)
  return [
    `${type} ${prefix}: ${text}`,
    `  ${uuid}, data as of ${formatTime(service.taken_at)}`,
    ...trustLines(service),
    ...warnings.map((warning) => `  warning: ${warning}`),
    ...(success === 'SUCCESS' ? [] : errors.flatMap(errorLines)),
  ]
}

/** What was proven of it, and what stands against it. */
function trustLines({ verified, corrupt, suspect, unverified_at: unsigned }: ServiceInstanceBackup): string[] {
  const how = verified?.level === 'drill' ? 'restore-proven' : `verified (${verified?.level ?? ''})`
  return [
    ...(verified ? [`  ${how} ${formatTime(verified.at)}`] : []),
    ...(corrupt
      ? [`  CORRUPT since ${formatTime(corrupt.at)}: ${corrupt.reason ?? 'what is stored is not what was sealed'}`]
      : []),
    ...(suspect ? [`  suspect: ${suspect}`] : []),
    ...(unsigned ? ['  NOT SIGNED by this Coffer: "catalog accept" accepts it, if you know where it is from'] : []),
  ]
}

export function errorLines({ attempt, code, message, remedy }: RunError): string[] {
  const when = typeof attempt === 'number' ? `attempt ${attempt}: ` : ''
  return [`  ${when}${code}: ${message}`, ...(remedy ? [`    remedy: ${remedy}`] : [])]
}
