import { z } from 'zod'

// Loose: what the producer sends beyond these fields is kept for --json, and a newer producer is still understood.

/** `signing_secret`: only in the answer that made it. */
export const Sink = z.looseObject({
  uuid: z.string(),
  name: z.string(),
  type: z.string(),
  format: z.string().nullable(),
  target: z.string(),
  environments: z.array(z.string()).nullable(),
  kinds: z.array(z.string()).nullable(),
  queued: z.number(),
  last_error: z.string().nullable(),
  signing_secret: z.string().optional(),
})
export type Sink = z.infer<typeof Sink>

export const SinkTest = z.looseObject({
  event: z.string(),
  delivered: z.boolean(),
  error: z.object({ code: z.string(), message: z.string(), remedy: z.string() }).nullable(),
})

export const Event = z.looseObject({
  uuid: z.string(),
  kind: z.string(),
  at: z.string(),
  message: z.string(),
  environment: z.string().nullable(),
})

export const Delivery = z.looseObject({
  kind: z.string(),
  state: z.string(),
  tries: z.number(),
  error: z.string().nullable(),
  created_at: z.string(),
})
