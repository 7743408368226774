import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { holdUpload, recordReceived, type Upload } from '../shared/catalog/uploads.ts'
import type { ArtifactRecord } from '../shared/domain/artifact.ts'
import { stagedKey } from '../shared/domain/staged-key.ts'
import { recipientsInUse } from '../shared/catalog/recipients.ts'
import { CofferError } from '../shared/errors.ts'
import { writeArtifact } from '../shared/pipeline/write-artifact.ts'
import { reached } from '../shared/steps.ts'
import type { Store } from '../shared/storage/store.ts'
import type { Producer } from './producer.ts'
import { watchIdle } from './send-stream.ts'

/** How long a process that receives bytes is believed to do so still. */
const HOLD_SECONDS = 60
/** What was sent at the last moment can still be finished. */
const GRACE_SECONDS = 3_600

type Receiver = Pick<Producer, 'catalog' | 'clock' | 'log' | 'openStore' | 'settings'>

/**
 * Streams a request's body into the store as a staged object, compressed and encrypted at once, in constant memory. What breaks off,
 * is too large or came too late leaves nothing.
 * @throws REQUEST_TOO_LARGE, REQUEST_MALFORMED (empty), RUN_STALLED, RUN_CANCELLED (the client went away), and what the store throws
 */
export async function receiveUpload(
  producer: Receiver,
  upload: Upload,
  request: IncomingMessage,
): Promise<ArtifactRecord> {
  refuseLonger(Number(request.headers['content-length'] ?? 0), upload)
  const { catalog, log, clock } = producer
  const store = await producer.openStore(upload.store)
  const key = stagedKey(upload.id, randomBytes(8).toString('hex'))
  const hold = () => holdUpload(catalog, upload.id, HOLD_SECONDS)
  await hold()
  const renewal = setInterval(
    () => void hold().catch((error: unknown) => log.warn({ err: error }, 'the lease of an upload was not renewed')),
    (HOLD_SECONDS * 1000) / 3,
  )
  try {
    const record = await write(producer, store, { upload, key, request })
    const replaced = await recordReceived(catalog, upload.id, record, { graceSeconds: GRACE_SECONDS, now: clock() })
    if (replaced !== null) await discard(replaced)
    return record
  } catch (error) {
    await discard(key)
    throw error
  } finally {
    clearInterval(renewal)
  }

  async function discard(unneeded: string): Promise<void> {
    await store.delete(unneeded).catch((error: unknown) => {
      log.warn({ key: unneeded, err: error }, 'what was sent for an upload stays in the store until the sweep')
    })
  }
}

async function write(
  { catalog, settings }: Receiver,
  store: Store,
  { upload, key, request }: { upload: Upload; key: string; request: IncomingMessage },
): Promise<ArtifactRecord> {
  const abort = new AbortController()
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
