import { z } from 'zod'
import { createUpload } from '../../shared/catalog/uploads.ts'
import { route } from '../define-route.ts'
import { futureTime, notes, timed, uuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { Upload, UPLOAD_HANDLER } from '../replies/backups.ts'
import type { Route } from '../routes.ts'
import { uploadLink } from '../upload-links.ts'

const newUpload = timed((clock) =>
  z.strictObject({
    environment: uuid,
    services: z
      .array(uuid, 'must be a list of UUIDs')
      .min(1, 'must have at least one')
      .max(1000, 'must be at most 1000'),
    notes: notes.default(''),
    scheduled_for_deletion_at: futureTime(clock).nullable().default(null),
  }),
)

/** Its links are secrets that anyone may use, so asking for them takes what making a backup takes. */
export function backupUploadRoutes({ catalog, secrets, settings }: Producer): Route[] {
  return [
    route({
      method: 'POST',
      path: '/apps/v3/backups/upload/',
      role: 'operator',
      summary: 'Makes a backup out of what is sent to the links that it answers.',
      body: newUpload,
      reply: Upload,
      status: 201,
      codes: ['NOT_FOUND', 'CONFLICT'],
      async handle({ body, actor, origin, now }) {
        const { backup, expiresAt, parts } = await createUpload(catalog, {
          environmentId: body.environment,
          services: body.services,
          notes: body.notes,
          scheduledForDeletionAt: body.scheduled_for_deletion_at,
          maxTries: settings.maxTries,
          maxBytes: settings.uploadMaxBytes,
          lifeSeconds: settings.uploadSeconds,
          createdBy: actor.tokenId,
          scope: actor.scope,
          now,
        })
        const results = parts.map(({ id, serviceInstance }) => [serviceInstance, wayOf(id, origin)] as const)
        return { uuid: backup, expires_at: expiresAt, results: Object.fromEntries(results) }
      },
    }),
  ]

  function wayOf(id: string, origin: string): z.infer<typeof Upload>['results'][string] {
    const url = uploadLink(secrets, origin, id, 'content')
    return {
      handler: UPLOAD_HANDLER,
      upload_parameters: { url, http_method: 'PUT', max_file_size: settings.uploadMaxBytes },
      finish_url: uploadLink(secrets, origin, id, 'finish'),
    }
  }
}
