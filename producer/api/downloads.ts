import type { Request, RequestHandler, Response } from 'express'
import { z } from 'zod'
import { writeAudit, type AuditEntry } from '../../shared/catalog/audit.ts'
import { getBundle, getDownloadItem, renewDownloadLease, type DownloadItem } from '../../shared/catalog/downloads.ts'
import { quarantined } from '../../shared/catalog/service-instance-backups.ts'
import { CofferError } from '../../shared/errors.ts'
import { requireIdentityFor } from '../../shared/identities.ts'
import { holdBack } from '../../shared/pipeline/chunks.ts'
import { readArtifact } from '../../shared/pipeline/read-artifact.ts'
import type { Store } from '../../shared/storage/store.ts'
import { originOfRequest, type Origin } from '../auth.ts'
import { bundleEntries, zipped } from '../download-bundle.ts'
import { artifactHeaders, bundleHeaders, requestedRange } from '../download-headers.ts'
import { DOWNLOAD_FORMS, fileName, isGenuine, type DownloadForm, type LinkForm } from '../download-links.ts'
import { parseFields } from '../requests.ts'
import type { Producer } from '../producer.ts'
import { readStored } from '../read-stored.ts'
import { sendStream, watchIdle } from '../send-stream.ts'

export const DOWNLOAD_PATH = '/apps/v3/downloads/:uuid/:form'

/** A damaged end is found before it is sent, and a small artifact before its first byte. */
const HELD_BACK_BYTES = 64 * 1024
const LEASE_RENEWAL_MS = 60_000

const Query = z.object({ expires: z.string().regex(/^\d{1,12}$/), signature: z.string().regex(/^[0-9a-f]{64}$/) })

/** Streams an artifact, or all of a download, to whoever has its signed link; no token is asked for. */
export function downloadHandler(producer: Producer): RequestHandler {
  return async (request, response) => {
    const { id, form } = checkLink(producer, request)
    if (form === 'bundle') await sendBundle(producer, id, request, response)
    else await sendArtifact(producer, { id, form }, request, response)
  }
}

async function sendArtifact(
  producer: Producer,
  { id, form }: { id: string; form: DownloadForm },
  request: Request,
  response: Response,
): Promise<void> {
  const item = await getDownloadItem(producer.catalog, id, { organisationId: null })
  refuseExpired(producer, id, item.expires_at)
  refuseCorrupt([item])
  if (form === 'plain') await requireIdentityFor(item.recipients, producer.identities)
  const range = form === 'stored' ? requestedRange(request, response, item.record) : null
  response.set(artifactHeaders(item.record, form, fileName(item, form), range)).status(range === null ? 200 : 206)
  await sendLeased(producer, [item], request, response, (store, signal) =>
    form === 'plain'
      ? readArtifact({ store, record: item.record, identities: producer.identities, signal })
      : readStored({ store, record: item.record, range, signal }),
  )
}

async function sendBundle(producer: Producer, id: string, request: Request, response: Response): Promise<void> {
  const { items, manifests, expiresAt } = await getBundle(producer.catalog, id)
  refuseExpired(producer, id, expiresAt)
  refuseCorrupt(items)
  for (const { recipients } of items) await requireIdentityFor(recipients, producer.identities)
  const stores = new Map<string, Store>()
  for (const { store } of items) stores.set(store, stores.get(store) ?? (await producer.openStore(store)))
  response.set(bundleHeaders(items)).status(200)
  await sendLeased(producer, items, request, response, (_store, signal) => {
    const open = ({ store, record }: DownloadItem) =>
      readArtifact({ store: stores.get(store) as Store, record, identities: producer.identities, signal })
    return zipped(bundleEntries({ items, manifests, open }))
  })
}

/** What was found corrupt since the links were made. @throws QUARANTINED */
function refuseCorrupt(items: readonly DownloadItem[]): void {
  const corrupt = items.find((item) => item.corrupt)
  if (corrupt) throw quarantined(corrupt.service_instance_backup)
}

/** Keeps the backups of these items from being deleted while the body is on its way. */
async function sendLeased(
  producer: Producer,
  items: readonly DownloadItem[],
  request: Request,
  response: Response,
  open: (store: Store, signal: AbortSignal) => AsyncIterable<Buffer>,
): Promise<void> {
  if (request.method === 'HEAD') {
    response.end()
    return
  }
  const { catalog, clock, log, settings, openStore } = producer
  const reading = { ...originOfRequest(request, response), at: clock(), status: response.statusCode }
  for (const item of items) await writeAudit(catalog, readingEntry(item, reading))
  const parts = [...new Map(items.map((item) => [item.service_instance_backup, item])).values()]
  const renew = () => Promise.all(parts.map((item) => renewDownloadLease(catalog, item)))
  await renew()
  const renewal = setInterval(() => {
    renew().catch((error: unknown) => log.warn({ err: error }, 'a read lease was not renewed'))
  }, LEASE_RENEWAL_MS)
  try {
    const abort = abortWhenClosed(response)
    const source = open(await openStore(items[0]?.store ?? ''), abort.signal)
    const watched = watchIdle(holdBack(source, HELD_BACK_BYTES), abort, settings.idleSeconds * 1000)
    await sendStream(response, watched, abort.signal)
  } finally {
    clearInterval(renewal)
  }
}

/** @throws NOT_FOUND (also for a link that was not made here), LINK_EXPIRED */
function checkLink({ clock, secrets }: Producer, request: Request): { id: string; form: LinkForm } {
  const { uuid: id = '', form: name } = request.params as Record<string, string>
  const form = [...DOWNLOAD_FORMS, 'bundle' as const].find((known) => known === name)
  const { expires, signature } = parseFields(Query, request.query)
  if (form === undefined || !isGenuine(secrets, { id, form, expires, signature }))
    throw new CofferError('NOT_FOUND', `there is no download link ${request.path} with this signature`)
  refuseExpired({ clock }, id, new Date(Number(expires) * 1000))
  return { id, form }
}

/** Also before the time that the link itself names, when it was revoked. */
function refuseExpired({ clock }: Pick<Producer, 'clock'>, id: string, expiresAt: Date): void {
  if (expiresAt > clock()) return
  throw new CofferError('LINK_EXPIRED', `the link of download ${id} expired at ${expiresAt.toISOString()}`)
}

/** Who has the link may be anybody: what is recorded is whose link it was, and from where it was read. */
function readingEntry(
  { uuid, download, service_instance_backup: part, made_by: maker }: DownloadItem,
  { at, status, ...origin }: Origin & { at: Date; status: number },
): AuditEntry {
  return {
    at,
    actor:
      maker.token === null
        ? null
        : { tokenId: maker.token, name: maker.name ?? '', organisationId: maker.organisation },
    ...origin,
    action: `GET ${DOWNLOAD_PATH}`,
    targets: [uuid, download, part],
    status,
    code: null,
    changes: {},
  }
}

function abortWhenClosed(response: Response): AbortController {
  const abort = new AbortController()
  const closed = () => {
    if (!response.writableFinished) abort.abort(new CofferError('RUN_CANCELLED', 'the client went away'))
  }
  response.once('close', closed)
  // Gone before anybody listened: `close` does not come twice.
  if (response.destroyed) closed()
  return abort
}
