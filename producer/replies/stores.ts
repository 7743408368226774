import { z } from 'zod'
import { count, id, named, time } from './fields.ts'

export const Store = named('Store', {
  uuid: id,
  name: z.string(),
  url: z.string().describe('without credentials'),
  region: z.string(),
  is_default: z.boolean(),
  created_at: time,
})

export const StoreCheck = named('StoreCheck', {
  store: id,
  objects: count,
  backups: count,
  unowned: z.array(z.string()).describe('keys of objects that no backup owns: the first 1000'),
  unowned_count: count,
  lost: z.array(z.strictObject({ service_instance_backup: id, environment: id, missing: z.array(z.string()) })),
  found: z.array(id),
})

export const Rebuild = named('Rebuild', {
  store: id,
  manifests: count,
  added: count,
  adopted: count,
  known: count,
  made: z.strictObject({ organisations: count, applications: count, environments: count, service_instances: count }),
  lost: z.array(z.strictObject({ service_instance_backup: id, missing: z.array(z.string()).readonly() })),
  unverified: z.array(z.strictObject({ backup: id, service_instance_backup: id, key: z.string() })),
  unverified_count: count,
  rejected: z.array(z.strictObject({ key: z.string(), reason: z.string() })),
  rejected_count: count,
  differences: z.array(z.strictObject({ service_instance_backup: id, key: z.string(), what: z.string() })),
  differences_count: count,
  pruning_stopped: z.array(id),
})

export const Key = named('Key', {
  recipient: z.string(),
  name: z.string().nullable(),
  created_at: time.nullable(),
  retired_at: time.nullable(),
  backups: count,
  in_use: z.boolean(),
  opened_by: z.array(z.string()).describe('which running processes hold its identity'),
})

export const ReadableBackup = named('ReadableBackup', {
  backup: id,
  service_instance_backup: id,
  application: z.string(),
  environment: z.string(),
  service_type: z.string(),
  prefix: z.string(),
  created_at: time,
})
