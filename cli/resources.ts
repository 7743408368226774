import { z } from 'zod'

// Loose: what the producer sends beyond these fields is kept for --json, and a newer producer is still understood.

export const Identity = z.looseObject({
  email: z.string().nullish(),
  first_name: z.string().nullish(),
  last_name: z.string().nullish(),
  role: z.string().nullish(),
})

/** What needs attention. `queues`: null when Redis does not answer. */
export const Status = z.looseObject({
  overdue: z.looseObject({
    count: z.number(),
    results: z.array(
      z.looseObject({
        environment: z.string(),
        slug: z.string(),
        application: z.string(),
        expected_by: z.string(),
        last_good_at: z.string().nullable(),
      }),
    ),
  }),
  alerts: z.looseObject({
    count: z.number(),
    results: z.array(z.looseObject({ kind: z.string(), message: z.string(), raised_at: z.string() })),
  }),
  queues: z.record(z.string(), z.record(z.string(), z.number())).nullable(),
})
export type Status = z.infer<typeof Status>

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
  pruning_stopped: z.looseObject({ reason: z.string(), at: z.string() }).nullish(),
})
export type Environment = z.infer<typeof Environment>

const AgeRule = z.looseObject({ keep_days: z.number(), keep_newest: z.number() })

/** What a plan consists of; what it lacks, the producer fills in. */
export const Plan = z.looseObject({
  uuid: z.string(),
  slug: z.string(),
  name: z.string(),
  schedules: z.array(
    z.looseObject({
      name: z.string(),
      kind: z.string(),
      cron: z.string().optional(),
      day: z.string().optional(),
      from: z.string().optional(),
      until: z.string().optional(),
    }),
  ),
  retention: z.looseObject({
    scheduled: z.looseObject({
      tiers: z.array(z.looseObject({ label: z.string(), per: z.string(), keep: z.number() })),
    }),
    on_demand: AgeRule,
    safety: AgeRule,
  }),
  verification: z.looseObject({
    metadata: z.looseObject({ every_days: z.number() }).nullable(),
    checksum: z.looseObject({ every_days: z.number(), most_per_day: z.number() }).nullable(),
    drill: z.looseObject({ every_days: z.number() }).nullable(),
  }),
  expected_within_hours: z.number().nullish(),
})
export type Plan = z.infer<typeof Plan>

export const ServiceInstance = z.looseObject({
  uuid: z.string(),
  environment: z.string(),
  type: z.string(),
  prefix: z.string(),
  service_status: z.string().nullish(),
})
export type ServiceInstance = z.infer<typeof ServiceInstance>

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
  errors: z.array(RunError),
  warnings: z.array(z.string()),
  progress: RunProgress.nullish(),
})
export type ServiceInstanceBackup = z.infer<typeof ServiceInstanceBackup>

/** `bundle_url` is null where the producer has no key. */
export const Download = z.looseObject({ uuid: z.string(), bundle_url: z.string().nullish() })

const UploadTarget = z.looseObject({
  upload_parameters: z.looseObject({ url: z.string(), max_file_size: z.number() }),
  finish_url: z.string(),
})
export type UploadTarget = z.infer<typeof UploadTarget>

/** Where to send the bytes of each service instance. */
export const Upload = z.looseObject({ uuid: z.string(), results: z.record(z.string(), UploadTarget) })

/** What has arrived. */
export const Received = z.looseObject({ size: z.number(), sha256: z.string() })

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

/** `action` is what was last asked of it; `state` and `success` are the restore's own. */
const ServiceInstanceRestore = z.looseObject({
  uuid: z.string(),
  service_instance_backup: z.string(),
  service_instance: z.string(),
  state: z.string(),
  success: z.string().nullable(),
  errors: z.array(RunError),
  progress: RunProgress.nullish(),
  safety_backup: z.string().nullish(),
  report: z.unknown(),
  kept_until_confirmed: z.boolean().default(false),
  action: z.enum(['restore', 'confirm', 'undo']).default('restore'),
  action_state: z.string(),
  confirmed_at: z.string().nullish(),
  undone_at: z.string().nullish(),
})

export const Restore = z.looseObject({
  uuid: z.string(),
  backup: z.string(),
  finished: z.boolean(),
  success: z.string().nullable(),
  notes: z.string(),
  created_at: z.string(),
  service_instance_restores: z.array(ServiceInstanceRestore),
})
export type Restore = z.infer<typeof Restore>
export type ServiceInstanceRestore = z.infer<typeof ServiceInstanceRestore>

/** Of one service-instance backup; of a whole environment, its names are null. */
export const Verification = z.looseObject({
  uuid: z.string(),
  backup: z.string().nullable(),
  service_type: z.string().nullable(),
  prefix: z.string().nullable(),
  level: z.string(),
  state: z.string(),
  outcome: z.string().nullable(),
  attempt: z.number(),
  progress: RunProgress.nullish(),
  report: z.record(z.string(), z.unknown()).nullable(),
  errors: z.array(RunError),
  queued_at: z.string(),
  ended_at: z.string().nullish(),
})
export type Verification = z.infer<typeof Verification>

export const StartedVerifications = z.looseObject({ results: z.array(Verification) })

export const StoreEntry = z.looseObject({ uuid: z.string(), name: z.string(), url: z.string() })
export type StoreEntry = z.infer<typeof StoreEntry>

/** A public key, and what it can read. */
export const Key = z.looseObject({
  recipient: z.string(),
  name: z.string().nullable(),
  in_use: z.boolean(),
  retired_at: z.string().nullable(),
  opened_by: z.array(z.string()),
  backups: z.number(),
})
export type Key = z.infer<typeof Key>

export const KeyList = z.looseObject({ unreadable_backups: z.number() })

export const KeyBackup = z.looseObject({
  backup: z.string(),
  application: z.string(),
  environment: z.string(),
  service_type: z.string(),
  prefix: z.string(),
  created_at: z.string(),
})
export type KeyBackup = z.infer<typeof KeyBackup>

/** Of one store. `lost`: what the store lacks; `found`: what it lacked before, and has again. */
export const StoreCheck = z.looseObject({
  objects: z.number(),
  backups: z.number(),
  unowned: z.array(z.string()),
  unowned_count: z.number(),
  lost: z.array(z.looseObject({ service_instance_backup: z.string(), missing: z.array(z.string()) })),
  found: z.array(z.string()),
})
export type StoreCheck = z.infer<typeof StoreCheck>

/** What a rebuild found in one store, and did. */
export const StoreRebuild = z.looseObject({
  manifests: z.number(),
  added: z.number(),
  adopted: z.number(),
  known: z.number(),
  made: z.looseObject({
    organisations: z.number(),
    applications: z.number(),
    environments: z.number(),
    service_instances: z.number(),
  }),
  lost: z.array(z.looseObject({ service_instance_backup: z.string(), missing: z.array(z.string()) })),
  unverified: z.array(z.looseObject({ backup: z.string(), key: z.string() })),
  unverified_count: z.number(),
  rejected: z.array(z.looseObject({ key: z.string(), reason: z.string() })),
  rejected_count: z.number(),
  differences: z.array(z.looseObject({ key: z.string(), what: z.string() })),
  differences_count: z.number(),
  pruning_stopped: z.array(z.string()),
})
export type StoreRebuild = z.infer<typeof StoreRebuild>

const RetentionLine = z.looseObject({
  backup: z.string().nullable(),
  at: z.string(),
  label: z.string().nullable(),
  reason: z.string(),
})

/** Of each service instance: what a prune would do now, what goes within the days that were asked for, and what there is then. */
export const RetentionPreview = z.looseObject({
  plan: z.string().nullable(),
  days: z.number(),
  service_instances: z.array(
    z.looseObject({
      service_type: z.string(),
      prefix: z.string(),
      today: z.array(
        RetentionLine.extend({
          id: z.string(),
          action: z.string(),
          until: z.string().nullable(),
          standing: z.string(),
        }),
      ),
      going: z.array(z.looseObject({ id: z.string(), goes_at: z.string() })),
      kept: z.array(RetentionLine.extend({ policy_class: z.string() })),
      counts: z.record(z.string(), z.number()),
    }),
  ),
})
export type RetentionPreview = z.infer<typeof RetentionPreview>

export const Organisation = z.looseObject({
  uuid: z.string(),
  slug: z.string(),
  name: z.string(),
  media_roots: z.array(z.string()).nullable(),
})
export type Organisation = z.infer<typeof Organisation>

export const Token = z.looseObject({
  uuid: z.string(),
  name: z.string(),
  role: z.string(),
  organisation: z.string().nullable(),
  expires_at: z.string().nullable(),
  last_used_at: z.string().nullable(),
})
export type Token = z.infer<typeof Token>

/** `token` is its text: nobody can read it again. */
export const NewToken = Token.extend({ token: z.string() })

/** `status`: null when it began, and another line of the same request says how it ended. */
export const AuditLine = z.looseObject({
  at: z.string(),
  token_name: z.string().nullable(),
  address: z.string(),
  action: z.string(),
  targets: z.array(z.string()),
  status: z.number().nullable(),
  code: z.string().nullable(),
})
export type AuditLine = z.infer<typeof AuditLine>

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
