import { z } from 'zod'
import { ARTIFACT_KINDS } from '../../shared/domain/artifact.ts'
import { SERVICE_TYPES } from '../../shared/domain/states.ts'
import { count, id, link, named, time } from './fields.ts'

export const Download = named('Download', {
  uuid: id,
  backup: id,
  trigger: z.string(),
  created_at: time,
  expires_at: time,
  bundle_url: link.nullable().describe('everything as one ZIP; null where the producer has no key'),
})

export const DownloadItem = named('DownloadItem', {
  uuid: id,
  backup: id.describe('the uuid of the download'),
  service_instance_backup: id,
  service_type: z.enum(SERVICE_TYPES),
  prefix: z.string(),
  artifact: z.enum(ARTIFACT_KINDS),
  ended_at: time,
  expires_at: time,
  errors: z.array(z.strictObject({ code: z.string(), message: z.string(), remedy: z.string() })),
  download_url: link.nullable().describe('what was dumped or packed; null: the producer has no key for it'),
  filename: z.string(),
  size: count,
  sha256: z.string(),
  stored_url: link.describe('as it lies in the store'),
  stored_filename: z.string(),
  stored_size: count,
  stored_sha256: z.string(),
})
