import type { Request, RequestHandler, Response } from 'express'
import { z } from 'zod'
import { writeAudit, type AuditEntry } from '../../shared/catalog/audit.ts'
import { getDownloadItem, renewDownloadLease, type DownloadItem } from '../../shared/catalog/downloads.ts'
import { CofferError } from '../../shared/errors.ts'
import { holdBack } from '../../shared/pipeline/chunks.ts'
import { readArtifact } from '../../shared/pipeline/read-artifact.ts'
import { originOfRequest, type Origin } from '../auth.ts'
import { DOWNLOAD_FORMS, fileName, isGenuine, type DownloadForm } from '../download-links.ts'
import { artifactHeaders, requestedRange } from '../download-headers.ts'
import { parseFields } from '../requests.ts'
import type { Producer } from '../producer.ts'
import { readStored } from '../read-stored.ts'
import { sendStream, watchIdle } from '../send-stream.ts'

export const DOWNLOAD_PATH = '/apps/v3/downloads/:uuid/:form'

/** A damaged end is found before it is sent, and a small artifact before its first byte. */
const HELD_BACK_BYTES = 64 * 1024
const LEASE_RENEWAL_MS = 60_000

const Query = z.object({ expires: z.string().regex(/^\d{1,12}$/), signature: z.string().regex(/^[0-9a-f]{64}$/) })

/** Streams an artifact to whoever has its signed link; no token is asked for. */
export function downloadHandler(producer: Producer): RequestHandler {
  return async (request, response) => {
    const { item, form } = await openLink(producer, request)
    const { catalog, identities, log, settings } = producer
    const range = form === 'stored' ? requestedRange(request, response, item.record) : null
    response.set(artifactHeaders(item.record, form, fileName(item, form), range)).status(range === null ? 200 : 206)
    if (request.method === 'HEAD') {
      response.end()
      return
    }
    const reading = { ...originOfRequest(request, response), at: producer.clock(), status: response.statusCode }
    await writeAudit(catalog, readingEntry(item, reading))
    await renewDownloadLease(catalog, item)
    const renewal = setInterval(() => {
      renewDownloadLease(catalog, item).catch((error: unknown) =>
        log.warn({ err: error }, 'a read lease was not renewed'),
      )
    }, LEASE_RENEWAL_MS)
    try {
      const store = await producer.openStore(item.store)
      const abort = abortWhenClosed(response)
      const source =
        form === 'plain'
          ? readArtifact({ store, record: item.record, identities, signal: abort.signal })
          : readStored({ store, record: item.record, range, signal: abort.signal })
      const watched = watchIdle(holdBack(source, HELD_BACK_BYTES), abort, settings.idleSeconds * 1000)
      await sendStream(response, watched, abort.signal)
    } finally {
      clearInterval(renewal)
    }
  }
}

/** @throws NOT_FOUND (also for a link that was not made here), LINK_EXPIRED */
async function openLink(
  { catalog, clock, secrets }: Producer,
  request: Request,
): Promise<{ item: DownloadItem; form: DownloadForm }> {
  const { uuid: id = '', form: name } = request.params as Record<string, string>
  const form = DOWNLOAD_FORMS.find((known) => known === name)
  const { expires, signature } = parseFields(Query, request.query)
  if (form === undefined || !isGenuine(secrets, { id, form, expires, signature }))
    throw new CofferError('NOT_FOUND', `there is no download link ${request.path} with this signature`)
  if (Number(expires) * 1000 <= clock().getTime())
    throw new CofferError(
      'LINK_EXPIRED',
      `the link of download ${id} expired at ${new Date(Number(expires) * 1000).toISOString()}`,
    )
  return { item: await getDownloadItem(catalog, id, { organisationId: null }), form }
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
  response.once('close', () => {
    if (!response.writableFinished) abort.abort(new CofferError('RUN_CANCELLED', 'the client went away'))
  })
  return abort
}
