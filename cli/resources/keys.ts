import { z } from 'zod'

// Loose: what the producer sends beyond these fields is kept for --json, and a newer producer is still understood.

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
