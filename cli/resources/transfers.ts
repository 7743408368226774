import { z } from 'zod'

// Loose: what the producer sends beyond these fields is kept for --json, and a newer producer is still understood.

/** `bundle_url` is null where the producer has no key. */
export const Download = z.looseObject({ uuid: z.string(), bundle_url: z.string().nullish() })

const UploadTarget = z.looseObject({
  upload_parameters: z.looseObject({ url: z.string(), max_file_size: z.number() }),
  finish_url: z.string(),
})
export type UploadTarget = z.infer<typeof UploadTarget>

/** Where to send the bytes of each service instance. */
export const Upload = z.looseObject({ uuid: z.string(), results: z.record(z.string(), UploadTarget) })

/** What has arrived. */
export const Received = z.looseObject({ size: z.number(), sha256: z.string() })

/** One artifact, in both forms. Addresses may be relative to the producer; `download_url` is null where it has no key. */
export const DownloadItem = z.looseObject({
  uuid: z.string(),
  service_instance_backup: z.string(),
  ended_at: z.string().nullable(),
  artifact: z.string(),
  download_url: z.string().nullable(),
  filename: z.string(),
  size: z.number(),
  sha256: z.string(),
  stored_url: z.string(),
  stored_filename: z.string(),
  stored_size: z.number(),
  stored_sha256: z.string(),
})
export type DownloadItem = z.infer<typeof DownloadItem>
