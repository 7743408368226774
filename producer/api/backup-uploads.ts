import { z } from 'zod'
import { createUpload } from '../../shared/catalog/uploads.ts'
import { futureTime, notes, uuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { parseBody } from '../requests.ts'
import type { Route } from '../routes.ts'
import { uploadLink } from '../upload-links.ts'

/** Of the ways that Divio's clients know, the one that needs nothing but HTTP. */
const HANDLER = 'exo-presigned-v1'

const newUpload = (now: Date) =>
  z.strictObject({
    environment: uuid,
    services: z
      .array(uuid, 'must be a list of UUIDs')
      .min(1, 'must have at least one')
      .max(1000, 'must be at most 1000'),
    notes: notes.default(''),
    scheduled_for_deletion_at: futureTime(now).nullable().default(null),
  })

/** Its links are secrets that anyone may use, so asking for them takes what making a backup takes. */
export function backupUploadRoutes({ catalog, clock, secrets, settings }: Producer): Route[] {
  return [
    {
      method: 'POST',
      path: '/apps/v3/backups/upload/',
      role: 'operator',
      async handle(call) {
        const now = clock()
        const body = parseBody(newUpload(now), call)
        const { backup, expiresAt, parts } = await createUpload(catalog, {
          environmentId: body.environment,
          services: body.services,
          notes: body.notes,
          scheduledForDeletionAt: body.scheduled_for_deletion_at,
          maxTries: settings.maxTries,
          maxBytes: settings.uploadMaxBytes,
          lifeSeconds: settings.uploadSeconds,
          createdBy: call.actor.tokenId,
          scope: call.actor.scope,
          now,
        })
        const results = parts.map(({ id, serviceInstance }): [string, unknown] => [
          serviceInstance,
          {
            handler: HANDLER,
            upload_parameters: {
              url: uploadLink(secrets, call.origin, id, 'content'),
              http_method: 'PUT',
              max_file_size: settings.uploadMaxBytes,
            },
            finish_url: uploadLink(secrets, call.origin, id, 'finish'),
          },
        ])
        return { status: 201, body: { uuid: backup, expires_at: expiresAt, results: Object.fromEntries(results) } }
      },
    },
  ]
}
