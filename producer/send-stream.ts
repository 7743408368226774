import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CofferError } from '../shared/errors.ts'

/**
 * Sends the body of a response whose status and headers are set. A source that fails before its first chunk can still be answered with a
 * problem; one that fails later breaks the connection, so that no client takes the beginning for the whole. Aborting breaks it, too.
 */
export async function sendStream(
  response: ServerResponse,
  source: AsyncGenerator<Buffer, void, void>,
  signal: AbortSignal,
): Promise<void> {
  const first = await source.next().catch((error: unknown) => {
    for (const header of response.getHeaderNames()) if (DESCRIBES_BODY.has(header)) response.removeHeader(header)
    throw error
  })
  try {
    await pipeline(Readable.from(beginningWith(first, source), { objectMode: false }), response, { signal })
  } catch (error) {
    signal.throwIfAborted()
    throw error
  }
}

const DESCRIBES_BODY = new Set([
  'content-length',
  'content-disposition',
  'content-range',
  'content-type',
  'accept-ranges',
  'etag',
  'x-checksum-sha256',
  'repr-digest',
])

async function* beginningWith(
  first: IteratorResult<Buffer, void>,
  rest: AsyncGenerator<Buffer, void, void>,
): AsyncGenerator<Buffer, void, void> {
  if (first.done === true) return
  yield first.value
  yield* rest
}

/** Aborts when no chunk was taken for so long, whether the source or the client is the one who hangs. */
export async function* watchIdle(
  source: AsyncIterable<Buffer>,
  abort: AbortController,
  idleMs: number,
): AsyncGenerator<Buffer, void, void> {
  const timer = setTimeout(() => {
    abort.abort(new CofferError('RUN_STALLED', `the transfer moved no bytes for ${idleMs / 1000} s`))
  }, idleMs)
  try {
    for await (const chunk of source) {
      timer.refresh()
      yield chunk
      timer.refresh()
    }
    abort.signal.throwIfAborted()
  } finally {
    clearTimeout(timer)
  }
}
