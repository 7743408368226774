import { z } from 'zod'
import { Selection } from '../../shared/domain/selection.ts'
import { OUTCOMES } from '../../shared/domain/states.ts'
import { Progress, RunError } from './backups.ts'
import { facts, id, named, time } from './fields.ts'

const state = z.enum(['QUEUED', 'RUNNING', 'COMPLETED'])

const ServiceInstanceRestore = named('ServiceInstanceRestore', {
  uuid: id,
  service_instance_backup: id,
  service_instance: id,
  state,
  success: z.enum(OUTCOMES).nullable(),
  attempt: z.number(),
  selection: Selection,
  progress: Progress.nullable(),
  preflight: z
    .strictObject({
      is_empty: z.boolean(),
      keeps_old_state: z.boolean(),
      method: z.string(),
      left_out: z.array(z.string()),
    })
    .nullable()
    .describe('what the look at the target found before anything was written'),
  safety_backup: id.nullable(),
  report: facts.nullable(),
  errors: z.array(RunError),
  kept_until_confirmed: z.boolean(),
  action: z.enum(['restore', 'confirm', 'undo']),
  action_state: state,
  confirmed_at: time.nullable(),
  undone_at: time.nullable(),
  queued_at: time,
  started_at: time.nullable(),
  ended_at: time.nullable(),
})

export const Restore = named('Restore', {
  uuid: id,
  backup: id,
  notes: z.string(),
  created_at: time,
  ended_at: time.nullable(),
  finished: z.boolean(),
  success: z.enum(OUTCOMES).nullable(),
  service_instance_restores: z.array(ServiceInstanceRestore),
})
