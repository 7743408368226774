import { z } from 'zod'
import {
  createDownload,
  revokeDownload,
  getBundle,
  getDownloadItem,
  listDownloadItems,
  type DownloadItem as StoredItem,
} from '../../shared/catalog/downloads.ts'
import { quarantined } from '../../shared/catalog/service-instance-backups.ts'
import { toCofferError } from '../../shared/errors.ts'
import { requireIdentityFor } from '../../shared/identities.ts'
import { mayReadOwn, requireReadable } from '../auth.ts'
import { list, route } from '../define-route.ts'
import { bundleLink, downloadLink, fileName } from '../download-links.ts'
import { filterUuid, uuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { Download, DownloadItem } from '../replies/downloads.ts'
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
export function backupDownloadRoutes({ catalog, secrets, settings, identities }: Producer): Route[] {
  const items = '/apps/v3/backup-download-service-instances/'
  return [
    route({
      method: 'POST',
      path: '/apps/v3/backup-downloads/',
      role: 'operator',
      summary: 'Makes links to what a backup holds.',
      body: NewDownload,
      reply: Download,
      status: 201,
      codes: ['NOT_FOUND', 'CONFLICT', 'QUARANTINED'],
      async handle({ body, actor, origin, now }) {
        await requireReadable(catalog, body.backup, actor)
        const download = await createDownload(catalog, {
          backupId: body.backup,
          serviceInstanceBackups: body.service_instance_backups,
          trigger: body.trigger,
          lifeSeconds: settings.linkSeconds,
          createdBy: actor.tokenId,
          scope: actor.scope,
          now,
        })
        const { items: whole } = await getBundle(catalog, download.uuid)
        const locks = await Promise.all(whole.map((item) => lockOf(item, identities)))
        const link = bundleLink(secrets, origin, download.uuid, download.expires_at)
        return { ...download, bundle_url: locks.every((lock) => lock === null) ? link : null }
      },
    }),
    route({
      method: 'DELETE',
      path: '/apps/v3/backup-downloads/:uuid/',
      role: 'operator',
      summary: 'Ends the links of a download.',
      reply: null,
      async handle({ id, actor, now }) {
        await revokeDownload(catalog, id, actor.scope, now)
      },
    }),
    list({
      path: items,
      role: 'operator',
      summary: 'Lists the artifacts of a download, with their links.',
      filters: { backup: filterUuid.optional() },
      of: DownloadItem,
      async rows({ actor, origin, query, page }) {
        const { rows, count } = await listDownloadItems(catalog, {
          scope: actor.scope,
          downloadId: query.backup,
          withOwn: mayReadOwn(actor),
          page,
        })
        return { rows: await Promise.all(rows.map((item) => show(item, origin))), count }
      },
    }),
    route({
      method: 'GET',
      path: `${items}:uuid/`,
      role: 'operator',
      summary: 'Shows one artifact of a download, with its links.',
      reply: DownloadItem,
      async handle({ id, actor, origin }) {
        const item = await getDownloadItem(catalog, id, actor.scope)
        await requireReadable(catalog, item.backup, actor)
        return show(item, origin)
      },
    }),
  ]

  async function show(item: StoredItem, origin: string): Promise<z.infer<typeof DownloadItem>> {
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
async function lockOf({ recipients, record, corrupt, ...item }: StoredItem, identities: readonly string[]) {
  if (corrupt) {
    const { code, message, remedy } = quarantined(item.service_instance_backup)
    return { code, message, remedy }
  }
  if (!record.encodings.includes('age')) return null
  try {
    await requireIdentityFor(recipients, identities)
    return null
  } catch (thrown) {
    const { code, message, remedy } = toCofferError(thrown)
    return { code, message: `${message}; take stored_url and decrypt it yourself`, remedy }
  }
}
