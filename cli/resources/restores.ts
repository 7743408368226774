import { z } from 'zod'
import { RunError, RunProgress } from './backups.ts'

// Loose: what the producer sends beyond these fields is kept for --json, and a newer producer is still understood.

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
