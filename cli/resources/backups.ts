import { z } from 'zod'

// Loose: what the producer sends beyond these fields is kept for --json, and a newer producer is still understood.

const Verified = z.looseObject({ level: z.string(), at: z.string() })

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
  labels: z.array(z.string()).default([]),
  late: z.boolean().default(false),
  hold: z.looseObject({ reason: z.string(), by: z.string().nullish(), at: z.string() }).nullish(),
  delete_after: z.string().nullish(),
  verified: Verified.nullish(),
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
  step: z.string().nullish(),
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
  verified: Verified.nullish(),
  corrupt: z.looseObject({ at: z.string(), reason: z.string().nullish() }).nullish(),
  unverified_at: z.string().nullish(),
  suspect: z.string().nullish(),
  errors: z.array(RunError),
  warnings: z.array(z.string()),
  progress: RunProgress.nullish(),
})
export type ServiceInstanceBackup = z.infer<typeof ServiceInstanceBackup>

/** The newest good backup of an environment as a whole, and of each of its service instances. */
export const Latest = z.looseObject({
  environment: z.string(),
  backup: z.string().nullable(),
  service_instances: z.array(
    z.looseObject({
      service_type: z.string(),
      prefix: z.string(),
      backup: z.string().nullable(),
      at: z.string().nullable(),
      size: z.number().nullable(),
    }),
  ),
})
export type Latest = z.infer<typeof Latest>
