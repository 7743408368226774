import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { writeAudit, type AuditEntry } from '../shared/catalog/audit.ts'
import { insideTransaction } from '../shared/catalog/database.ts'
import { isStagedNeeded } from '../shared/catalog/staged-objects.ts'
import {
  holdUpload,
  recordReceived,
  releaseUpload,
  renewUpload,
  type Upload,
  type UploadHold,
} from '../shared/catalog/uploads.ts'
import type { ArtifactRecord } from '../shared/domain/artifact.ts'
import { stagedKey } from '../shared/domain/staged-key.ts'
import { recipientsInUse } from '../shared/catalog/recipients.ts'
import { CofferError } from '../shared/errors.ts'
import { writeArtifact } from '../shared/pipeline/write-artifact.ts'
import { reached } from '../shared/steps.ts'
import type { Store } from '../shared/storage/store.ts'
import type { Producer, ProducerSettings } from './producer.ts'
import { watchIdle } from './send-stream.ts'

/** How long a process that receives bytes is believed to do so still. */
const HOLD_SECONDS = 60
/** What was sent at the last moment can still be finished. */
const GRACE_SECONDS = 3_600

type Receiver = Pick<Producer, 'catalog' | 'clock' | 'log' | 'openStore'> & {
  settings: Pick<ProducerSettings, 'idleSeconds' | 'recipients'>
}

/**
 * Streams a request's body into the store as a staged object, compressed and encrypted at once, in constant memory. What breaks off,
 * is too large or came too late leaves nothing. Only one at a time writes to an upload, and no longer than that takes bytes.
 * @param line of the audit log: written in one transaction with what says that the bytes have come whole
 * @throws REQUEST_TOO_LARGE, REQUEST_MALFORMED (empty), RUN_STALLED, RUN_CANCELLED (the client went away), CONFLICT (another writes, or the
 * upload has ended), and what the store throws
 */
export async function receiveUpload(
  producer: Receiver,
  upload: Upload,
  request: IncomingMessage,
  line: AuditEntry,
  holdSeconds = HOLD_SECONDS,
): Promise<ArtifactRecord> {
  refuseLonger(Number(request.headers['content-length'] ?? 0), upload)
  const { catalog, log, clock } = producer
  const store = await producer.openStore(upload.store)
  const key = stagedKey(upload.id, randomBytes(8).toString('hex'))
  const hold = { id: upload.id, key, seconds: holdSeconds }
  await holdUpload(catalog, hold, clock())
  const abort = new AbortController()
  const stopRenewing = keepHeld(producer, hold, abort)
  try {
    const record = await write(producer, store, { upload, key, request, abort })
    // What gives the hold back must not look as if another had taken it.
    stopRenewing()
    const now = clock()
    const replaced = await catalog.transaction(async (tx) => {
      await writeAudit(tx, { ...line, at: now })
      return recordReceived(insideTransaction(catalog, tx), upload.id, record, { graceSeconds: GRACE_SECONDS, now })
    })
    if (replaced !== null) await discard(replaced)
    return record
  } catch (error) {
    await releaseUpload(catalog, hold)
      .then(async () => {
        // A commit whose answer was lost may have made it what counts; what the catalog can't tell is left to the sweep.
        if ((await isStagedNeeded(catalog, upload.id, key)) === false) await discard(key)
      })
      .catch((failure: unknown) => {
        log.warn(
          { key, err: failure },
          'the lease of an upload was not given back, and what it wrote stays in the store',
        )
      })
    throw error
  } finally {
    stopRenewing()
  }

  async function discard(unneeded: string): Promise<void> {
    await store.delete(unneeded).catch((error: unknown) => {
      log.warn({ key: unneeded, err: error }, 'what was sent for an upload stays in the store until the sweep')
    })
  }
}

/** Aborts when the upload takes nothing any more; a catalog that is away for a while ends nothing. @returns stops it */
function keepHeld({ catalog, log }: Receiver, hold: UploadHold, abort: AbortController): () => void {
  let isOver = false
  const renew = () =>
    renewUpload(catalog, hold).catch((error: unknown) => {
      if (isOver) return
      if (error instanceof CofferError && error.code === 'CONFLICT') abort.abort(error)
      else log.warn({ err: error }, 'the lease of an upload was not renewed')
    })
  const renewal = setInterval(() => void renew(), (hold.seconds * 1000) / 3)
  return () => {
    isOver = true
    clearInterval(renewal)
  }
}

async function write(
  { catalog, settings }: Receiver,
  store: Store,
  { upload, key, request, abort }: { upload: Upload; key: string; request: IncomingMessage; abort: AbortController },
): Promise<ArtifactRecord> {
  // Whoever waits for the next chunk of a body that hangs is woken by its end only.
  abort.signal.addEventListener('abort', () => request.destroy(), { once: true })
  const { record } = await writeArtifact({
    store,
    key,
    kind: upload.serviceType === 'DATABASE' ? 'dump' : 'archive',
    source: watchIdle(bounded(request, upload), abort, settings.idleSeconds * 1000),
    recipients: await recipientsInUse(catalog, settings.recipients),
    signal: abort.signal,
  }).catch((error: unknown) => {
    if (abort.signal.aborted || request.errored === null) throw error
    throw new CofferError('RUN_CANCELLED', `the client of upload ${upload.id} went away`, { cause: error })
  })
  if (record.plain_size > 0) return record
  throw new CofferError('REQUEST_MALFORMED', `upload ${upload.id} has an empty body`)
}

async function* bounded(request: IncomingMessage, upload: Upload): AsyncGenerator<Buffer, void, void> {
  let bytes = 0
  // Where this ends early, the answer must still go out on the same connection.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length
    refuseLonger(bytes, upload)
    reached('upload-received', { upload: upload.id, bytes })
    yield chunk
  }
}

function refuseLonger(bytes: number, { id, maxBytes }: Upload): void {
  if (bytes > maxBytes)
    throw new CofferError('REQUEST_TOO_LARGE', `upload ${id} takes at most ${maxBytes} bytes (max_file_size)`)
}
