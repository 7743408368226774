import { z } from 'zod'
import { DELIVERY_STATES, SINK_TYPES, WEBHOOK_FORMATS } from '../../shared/domain/notification.ts'
import { count, facts, id, named, time } from './fields.ts'

const sink = {
  uuid: id,
  organisation: id.nullable(),
  name: z.string(),
  type: z.enum(SINK_TYPES),
  format: z.enum(WEBHOOK_FORMATS).nullable(),
  target: z.string(),
  environments: z.array(id).nullable().describe('null: all'),
  kinds: z.array(z.string()).nullable().describe('null: all'),
  queued: count,
  last_error: z.string().nullable(),
  created_at: time,
}
export const Sink = named('Sink', sink)
export const MadeSink = named('MadeSink', {
  ...sink,
  signing_secret: z.string().optional().describe('of a signed webhook: shown now, and never again'),
})

export const TestedSink = named('TestedSink', {
  event: id,
  delivered: z.boolean(),
  error: z
    .strictObject({ code: z.string(), message: z.string(), remedy: z.string() })
    .nullable()
    .describe('why it was not delivered'),
})

export const Event = named('Event', {
  uuid: id,
  kind: z.string(),
  at: time,
  message: z.string(),
  organisation: z.string().nullable(),
  application: z.string().nullable(),
  environment_slug: z.string().nullable(),
  environment: id.nullable(),
  backup: id.nullable(),
  facts,
})

export const Delivery = named('Delivery', {
  uuid: id,
  event: id,
  kind: z.string(),
  sink: id,
  state: z.enum(DELIVERY_STATES),
  tries: count,
  error: z.string().nullable(),
  created_at: time,
  ended_at: time.nullable(),
})
