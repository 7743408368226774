import type { Request, RequestHandler, Response } from 'express'
import { writeAudit, type AuditEntry } from '../../shared/catalog/audit.ts'
import { insideTransaction } from '../../shared/catalog/database.ts'
import { finishUpload, openUpload, type Upload } from '../../shared/catalog/uploads.ts'
import { CofferError } from '../../shared/errors.ts'
import { originOfRequest } from '../auth.ts'
import type { Producer } from '../producer.ts'
import { receiveUpload } from '../receive-upload.ts'
import { isGenuineUpload, type UploadLink } from '../upload-links.ts'

export const UPLOAD_CONTENT_PATH = '/apps/v3/uploads/:uuid/content'
export const UPLOAD_FINISH_PATH = '/apps/v3/uploads/:uuid/finish'

/** Takes the body, as it is, as the bytes of an upload. Sent again before the finish, it replaces what was sent. */
export function uploadContentHandler(producer: Producer): RequestHandler {
  return async (request, response) => {
    // Nothing bounds the time that a body takes here, so none may dribble on after the answer.
    response.set('Connection', 'close')
    const id = genuineId(producer, request, 'content')
    const upload = await openUpload(producer.catalog, id, producer.clock())
    const line = changeEntry(upload, UPLOAD_CONTENT_PATH, request, response, producer.clock())
    const record = await receiveUpload(producer, upload, request, line)
    response.set('ETag', `"${record.plain_sha256}"`)
    response.json({ size: record.plain_size, sha256: record.plain_sha256 })
  }
}

/** Says that all was sent. No token and no body: the address is the secret, and works once. */
export function uploadFinishHandler(producer: Producer): RequestHandler {
  return async (request, response) => {
    const id = genuineId(producer, request, 'finish')
    const { catalog } = producer
    const now = producer.clock()
    const upload = await openUpload(catalog, id, now)
    await catalog.transaction(async (tx) => {
      await writeAudit(tx, changeEntry(upload, UPLOAD_FINISH_PATH, request, response, now))
      await finishUpload(insideTransaction(catalog, tx), id, now)
    })
    producer.ringer.nudge()
    response.json({ uuid: id, state: 'QUEUED' })
  }
}

/** Who has the link may be anybody: what is recorded is whose link it was, and from where it was used. What is refused changes nothing. */
function changeEntry(
  { id, backup, madeBy: maker }: Upload,
  path: string,
  request: Request,
  response: Response,
  at: Date,
): AuditEntry {
  return {
    at,
    actor:
      maker.token === null
        ? null
        : { tokenId: maker.token, name: maker.name ?? '', organisationId: maker.organisation },
    ...originOfRequest(request, response),
    action: `${request.method} ${path}`,
    targets: [id, backup],
    status: 200,
    code: null,
    changes: {},
  }
}

/** @throws NOT_FOUND for a link that was not made here, or for something else */
function genuineId({ secrets }: Producer, request: Request, link: UploadLink): string {
  const { uuid: id = '' } = request.params as Record<string, string>
  const { signature } = request.query
  if (typeof signature !== 'string' || !isGenuineUpload(secrets, id, link, signature))
    throw new CofferError('NOT_FOUND', `there is no upload link ${request.path} with this signature`)
  return id
}
