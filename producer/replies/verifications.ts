import { z } from 'zod'
import { SERVICE_TYPES } from '../../shared/domain/states.ts'
import { VERIFICATION_LEVELS, VERIFICATION_OUTCOMES } from '../../shared/domain/verification.ts'
import { Progress, RunError } from './backups.ts'
import { facts, id, named, time } from './fields.ts'

export const Verification = named('Verification', {
  uuid: id,
  environment: id,
  backup: id.nullable(),
  service_instance_backup: id.nullable(),
  service_instance: id.nullable(),
  service_type: z.enum(SERVICE_TYPES).nullable(),
  prefix: z.string().nullable(),
  level: z.enum(VERIFICATION_LEVELS),
  trigger: z.enum(['MANUAL', 'SCHEDULED']),
  requested_by: z.string().nullable(),
  state: z.enum(['QUEUED', 'RUNNING', 'COMPLETED']),
  outcome: z.enum(VERIFICATION_OUTCOMES).nullable(),
  attempt: z.number(),
  progress: Progress.nullable(),
  report: facts.nullable(),
  errors: z.array(RunError),
  queued_at: time,
  started_at: time.nullable(),
  ended_at: time.nullable(),
})

export const RequestedVerifications = named('RequestedVerifications', { results: z.array(Verification) })
