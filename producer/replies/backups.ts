import { z } from 'zod'
import { ArtifactRecord } from '../../shared/domain/artifact.ts'
import { OUTCOMES, SERVICE_TYPES, STATES, TRIGGERS } from '../../shared/domain/states.ts'
import { VERIFICATION_LEVELS } from '../../shared/domain/verification.ts'
import { count, id, named, time, timeText } from './fields.ts'

const verified = z.strictObject({ level: z.enum(VERIFICATION_LEVELS), at: timeText }).nullable()

export const RunError = named('RunError', {
  code: z.string(),
  message: z.string(),
  remedy: z.string(),
  attempt: z.number(),
  at: timeText,
})

export const Progress = named('Progress', {
  plain_bytes: count,
  stored_bytes: count,
  expected_bytes: count.nullable(),
  files: count.nullable(),
  step: z.string().nullable(),
  updated_at: timeText,
})

const backup = {
  uuid: id,
  environment: id,
  state: z.enum(STATES),
  success: z.enum(OUTCOMES).nullable().describe('null until it has ended'),
  trigger: z.enum(TRIGGERS),
  notes: z.string(),
  service_instance_backups: z.array(id),
  size: z.number().nullable().describe('bytes, stored'),
  created_at: time,
  ended_at: time.nullable(),
  scheduled_for_deletion_at: time.nullable(),
  labels: z.array(z.string()),
  due_at: time.nullable(),
  late: z.boolean(),
  hold: z.strictObject({ reason: z.string(), by: z.string().nullable(), at: timeText }).nullable(),
  delete_after: time.nullable().describe('deleted by hand: until then it can be undone'),
  delete_reason: z.string().nullable(),
  verified,
  corrupt: z.array(id).describe('its service-instance backups that are corrupt'),
}
export const Backup = named('Backup', backup)

export const ServiceInstanceBackup = named('ServiceInstanceBackup', {
  uuid: id,
  backup: id,
  service_instance: id,
  service_type: z.enum(SERVICE_TYPES),
  prefix: z.string(),
  state: z.enum(STATES),
  success: z.enum(OUTCOMES).nullable(),
  attempt: z.number(),
  label: z.string().nullable(),
  queued_at: time,
  started_at: time.nullable(),
  ended_at: time.nullable(),
  taken_at: time.nullable(),
  size: z.number().nullable().describe('bytes, stored'),
  errors: z.array(RunError),
  warnings: z.array(z.string()),
  suspect: z.string().nullable().describe('why its size is not believed'),
  verified,
  corrupt: z.strictObject({ at: timeText, reason: z.string().nullable() }).nullable(),
  unverified_at: time.nullable(),
  deleted_at: time.nullable(),
  progress: Progress.nullable(),
  retry_at: time.nullable(),
  artifacts: z.array(ArtifactRecord),
})

/** What the events of a backup carry. */
export const WatchedBackup = named('WatchedBackup', {
  ...backup,
  service_instance_backup_details: z.array(ServiceInstanceBackup),
})

/** Of the ways that Divio's clients know, the one that needs nothing but HTTP. */
export const UPLOAD_HANDLER = 'exo-presigned-v1'

export const Upload = named('Upload', {
  uuid: id,
  expires_at: time,
  results: z
    .record(
      z.string(),
      z.strictObject({
        handler: z.literal(UPLOAD_HANDLER),
        upload_parameters: z.strictObject({ url: z.string(), http_method: z.literal('PUT'), max_file_size: count }),
        finish_url: z.string(),
      }),
    )
    .describe('by service instance: where to send its bytes, and what to call when all are sent'),
})
