import { z } from 'zod'

// Loose: what the producer sends beyond these fields is kept for --json, and a newer producer is still understood.

export const Identity = z.looseObject({
  email: z.string().nullish(),
  first_name: z.string().nullish(),
  last_name: z.string().nullish(),
  role: z.string().nullish(),
})

export const Application = z.looseObject({
  uuid: z.string(),
  slug: z.string(),
  name: z.string(),
  organisation: z.string(),
})
export type Application = z.infer<typeof Application>

export const Environment = z.looseObject({
  uuid: z.string(),
  slug: z.string(),
  application: z.string(),
  plan: z.string().nullable(),
  timezone: z.string(),
  store: z.string().nullable(),
})
export type Environment = z.infer<typeof Environment>

export const ServiceInstance = z.looseObject({
  uuid: z.string(),
  environment: z.string(),
  type: z.string(),
  prefix: z.string(),
  service_status: z.string().nullish(),
})
export type ServiceInstance = z.infer<typeof ServiceInstance>

export const Backup = z.looseObject({
  uuid: z.string(),
  environment: z.string(),
  state: z.string(),
  success: z.string().nullable(),
  trigger: z.string(),
  notes: z.string(),
  service_instance_backups: z.array(z.string()),
  created_at: z.string(),
  ended_at: z.string().nullish(),
  scheduled_for_deletion_at: z.string().nullish(),
  size: z.number().nullish(),
})
export type Backup = z.infer<typeof Backup>

/** One failure of an attempt, as a reader sees it. */
export const RunError = z.looseObject({
  code: z.string(),
  message: z.string(),
  remedy: z.string().nullish(),
  attempt: z.number().nullish(),
})
export type RunError = z.infer<typeof RunError>

/** Sizes in bytes. `expected_bytes` and `files` are null where nobody knows. */
export const RunProgress = z.looseObject({
  plain_bytes: z.number(),
  stored_bytes: z.number().nullish(),
  expected_bytes: z.number().nullish(),
  files: z.number().nullish(),
  updated_at: z.string(),
})
export type RunProgress = z.infer<typeof RunProgress>

export const ServiceInstanceBackup = z.looseObject({
  uuid: z.string(),
  backup: z.string(),
  service_instance: z.string(),
  service_type: z.string(),
  prefix: z.string(),
  state: z.string(),
  success: z.string().nullable(),
  attempt: z.number(),
  retry_at: z.string().nullish(),
  ended_at: z.string().nullish(),
  taken_at: z.string().nullish(),
  size: z.number().nullish(),
  errors: z.array(RunError),
  warnings: z.array(z.string()),
  progress: RunProgress.nullish(),
})
export type ServiceInstanceBackup = z.infer<typeof ServiceInstanceBackup>

export const Download = z.looseObject({ uuid: z.string() })

/** One artifact, in both forms. Addresses may be relative to the producer; `download_url` is null where it has no key. */
export const DownloadItem = z.looseObject({
  uuid: z.string(),
  service_instance_backup: z.string(),
  ended_at: z.string().nullable(),
  artifact: z.string(),
  download_url: z.string().nullable(),
  filename: z.string(),
  size: z.number(),
  sha256: z.string(),
  stored_url: z.string(),
  stored_filename: z.string(),
  stored_size: z.number(),
  stored_sha256: z.string(),
})
export type DownloadItem = z.infer<typeof DownloadItem>

const ServiceInstanceRestore = z.looseObject({
  uuid: z.string(),
  service_instance_backup: z.string(),
  service_instance: z.string(),
  state: z.string(),
  success: z.string().nullable(),
  errors: z.array(RunError),
  progress: RunProgress.nullish(),
  report: z.unknown(),
})

export const Restore = z.looseObject({
  uuid: z.string(),
  finished: z.boolean(),
  success: z.string().nullable(),
  service_instance_restores: z.array(ServiceInstanceRestore),
})
export type Restore = z.infer<typeof Restore>
export type ServiceInstanceRestore = z.infer<typeof ServiceInstanceRestore>
