import { z } from 'zod'

// Loose: what the producer sends beyond these fields is kept for --json, and a newer producer is still understood.

export const StoreEntry = z.looseObject({ uuid: z.string(), name: z.string(), url: z.string() })
export type StoreEntry = z.infer<typeof StoreEntry>

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
