import { z } from 'zod'
import { SERVICE_TYPES } from '../../shared/domain/states.ts'
import { id, named, time, timeText } from './fields.ts'

export const Application = named('Application', {
  uuid: id,
  slug: z.string(),
  name: z.string(),
  organisation: id,
  created_at: time,
})

export const Environment = named('Environment', {
  uuid: id,
  slug: z.string(),
  application: id,
  plan: id.nullable(),
  timezone: z.string(),
  store: id.nullable().describe('null: the default store'),
  pruning_stopped: z
    .strictObject({ reason: z.string(), at: timeText })
    .nullable()
    .describe('a guard has stopped its pruning, until a person allows it again'),
  last_finished_deployment: z.null(),
  created_at: time,
})

export const ServiceInstance = named('ServiceInstance', {
  uuid: id,
  environment: id,
  type: z.enum(SERVICE_TYPES),
  prefix: z.string(),
  service_status: z.enum(['PROVISIONED', 'CONNECTION_MISSING']),
  created_at: time,
})

export const Organisation = named('Organisation', {
  uuid: id,
  slug: z.string(),
  name: z.string(),
  media_roots: z.array(z.string()).nullable().describe('null: all that the operator allows'),
  created_at: time,
})

export const Latest = named('Latest', {
  environment: id,
  backup: id.nullable().describe('the newest one that has a good part for every service instance'),
  service_instances: z.array(
    z.strictObject({
      service_instance: id,
      service_type: z.enum(SERVICE_TYPES),
      prefix: z.string(),
      service_instance_backup: id.nullable(),
      backup: id.nullable(),
      at: time.nullable(),
      taken_at: time.nullable(),
      size: z.number().nullable().describe('bytes, stored'),
    }),
  ),
})
