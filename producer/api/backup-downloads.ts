import { z } from 'zod'
import {
  createDownload,
  revokeDownload,
  getDownloadItem,
  listDownloadItems,
  type DownloadItem,
} from '../../shared/catalog/downloads.ts'
import { toCofferError } from '../../shared/errors.ts'
import { requireIdentityFor } from '../../shared/identities.ts'
import { bundleLink, downloadLink, fileName } from '../download-links.ts'
import { filterUuid, uuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { listReply, parseBody, parseListQuery } from '../requests.ts'
import type { Route } from '../routes.ts'

const NewDownload = z.strictObject({
  backup: uuid,
  service_instance_backups: z
    .array(uuid, 'must be a list of UUIDs')
    .min(1, 'must have at least one')
    .max(1000, 'must be at most 1000')
    .optional(),
  trigger: z.literal('MANUAL', 'must be MANUAL').default('MANUAL'),
})

/** The links of a download are secrets that anyone may use, so reading them takes what making them takes. */
export function backupDownloadRoutes({ catalog, clock, secrets, settings, identities }: Producer): Route[] {
  const items = '/apps/v3/backup-download-service-instances/'
  return [
    {
      method: 'POST',
      path: '/apps/v3/backup-downloads/',
      role: 'operator',
      async handle(call) {
        const body = parseBody(NewDownload, call)
        const download = await createDownload(catalog, {
          backupId: body.backup,
          serviceInstanceBackups: body.service_instance_backups,
          trigger: body.trigger,
          lifeSeconds: settings.linkSeconds,
          createdBy: call.actor.tokenId,
          scope: call.actor.scope,
          now: clock(),
        })
        const link = bundleLink(secrets, call.origin, download.uuid, download.expires_at)
        return { status: 201, body: { ...download, bundle_url: identities.length > 0 ? link : null } }
      },
    },
    {
      method: 'DELETE',
      path: '/apps/v3/backup-downloads/:uuid/',
      role: 'operator',
      async handle({ params, actor }) {
        await revokeDownload(catalog, params['uuid'] ?? '', actor.scope, clock())
        return { status: 204 }
      },
    },
    {
      method: 'GET',
      path: items,
      role: 'operator',
      async handle(call) {
        const { filters, page } = parseListQuery({ backup: filterUuid.optional() }, call)
        const filter = { scope: call.actor.scope, downloadId: filters.backup, page }
        const { rows, count } = await listDownloadItems(catalog, filter)
        return listReply(call, page, count, await Promise.all(rows.map((item) => show(item, call.origin))))
      },
    },
    {
      method: 'GET',
      path: `${items}:uuid/`,
      role: 'operator',
      handle: async ({ params, actor, origin }) => ({
        status: 200,
        body: await show(await getDownloadItem(catalog, params['uuid'] ?? '', actor.scope), origin),
      }),
    },
  ]

  async function show(item: DownloadItem, origin: string): Promise<Record<string, unknown>> {
    const { record } = item
    const locked = await lockOf(item, identities)
    return {
      uuid: item.uuid,
      backup: item.download,
      service_instance_backup: item.service_instance_backup,
      service_type: item.service_type,
      prefix: item.prefix,
      artifact: record.kind,
      ended_at: item.ended_at,
      expires_at: item.expires_at,
      errors: locked ? [locked] : [],
      download_url: locked ? null : downloadLink(secrets, origin, item, 'plain'),
      filename: fileName(item, 'plain'),
      size: record.plain_size,
      sha256: record.plain_sha256,
      stored_url: downloadLink(secrets, origin, item, 'stored'),
      stored_filename: fileName(item, 'stored'),
      stored_size: record.stored_size,
      stored_sha256: record.stored_sha256,
    }
  }
}

/** Why the producer can't give the plain form; null: it can. */
async function lockOf({ recipients, record }: DownloadItem, identities: readonly string[]) {
  if (!record.encodings.includes('age')) return null
  try {
    await requireIdentityFor(recipients, identities)
    return null
  } catch (thrown) {
    const { code, message, remedy } = toCofferError(thrown)
    return { code, message: `${message}; take stored_url and decrypt it yourself`, remedy }
  }
}
