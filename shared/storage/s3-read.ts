import { GetObjectCommand } from '@aws-sdk/client-s3'
import { Readable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import { CofferError } from '../errors.ts'
import type { S3Connection } from './s3-connection.ts'

/** Connections in a row that may break without having brought a byte. */
const FRUITLESS_TRIES = 6

interface Range {
  start?: number
  end?: number
  signal?: AbortSignal
}

interface Opened {
  body: Readable
  etag: string | undefined
  size: number
}

/**
 * Streams an object, and goes on by a ranged request where a connection breaks, also one that the server closed because the
 * reader was slow. The first request is made before this resolves. A range that begins at or after the end is empty.
 */
export async function readObject(connection: S3Connection, key: string, range: Range): Promise<Readable> {
  const closed = new AbortController()
  const signal = range.signal ? AbortSignal.any([range.signal, closed.signal]) : closed.signal
  const start = range.start ?? 0
  const first = await openRange(connection, key, start, range.end, signal).catch((error: unknown) => {
    if (error instanceof CofferError && error.details.s3Code === 'InvalidRange') return null
    throw error
  })
  if (first === null) return Readable.from([], { objectMode: false })
  const stream = Readable.from(untilAborted(resuming(connection, key, start, first, signal), signal), {
    objectMode: false,
    ...(range.signal && { signal: range.signal }),
  })
  // Not in a finally of the generator: that does not run when the stream is destroyed before its first read.
  stream.once('close', () => closed.abort())
  return stream
}

/** An abort has destroyed the stream already; what it broke on the way is no second error. */
async function* untilAborted(chunks: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

async function* resuming(
  connection: S3Connection,
  key: string,
  start: number,
  first: Opened,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const last = start + first.size - 1
  let opened: Opened = first
  for (let at = start, fruitless = 0; at <= last;) {
    const begun = at
    let breakage: unknown
    try {
      for await (const chunk of opened.body as AsyncIterable<Uint8Array>) {
        at += chunk.length
        yield chunk
      }
    } catch (error) {
      breakage = error
    }
    if (at > last) return
    signal.throwIfAborted()
    fruitless = at > begun ? 0 : fruitless + 1
    if (fruitless === FRUITLESS_TRIES) {
      const message = `${key} in bucket ${connection.settings.bucket} broke off at byte ${at}, ${last - at + 1} bytes too early`
      throw new CofferError('STORE_UNREACHABLE', message, { cause: breakage })
    }
    await setTimeout(fruitless * connection.timing.firstDelayMs, undefined, { signal })
    opened = await openRange(connection, key, at, last, signal)
    if (opened.etag !== first.etag) {
      throw new CofferError(
        'STORE_MISMATCH',
        `${key} in bucket ${connection.settings.bucket} was replaced while it was read`,
      )
    }
  }
}

async function openRange(
  connection: S3Connection,
  key: string,
  start: number,
  end: number | undefined,
  signal: AbortSignal,
): Promise<Opened> {
  const isWhole = start === 0 && end === undefined
  const input = {
    Bucket: connection.settings.bucket,
    Key: connection.objectKey(key),
    Range: isWhole ? undefined : `bytes=${start}-${end ?? ''}`,
  }
  const reply = await connection.download(
    'GetObject',
    key,
    (client) => client.send(new GetObjectCommand(input), { abortSignal: signal }),
    { signal },
  )
  const body = reply.Body as Readable
  // It may break before anybody reads it; whoever reads then still gets the error.
  body.on('error', () => undefined)
  const size = reply.ContentLength
  if (size !== undefined && (isWhole || answers(reply.ContentRange, size, { start, end })))
    return { body, etag: reply.ETag, size }
  body.destroy()
  throw new CofferError('STORE_MISMATCH', `bucket ${input.Bucket} answered another range of ${key} than was asked for`)
}

/** Whether all was given that was asked for, as far as the object has it. */
function answers(
  contentRange: string | undefined,
  size: number,
  asked: { start: number; end: number | undefined },
): boolean {
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(contentRange ?? '') ?? []
  const expected = Math.min(asked.end ?? Infinity, Number(total) - 1)
  return Number(first) === asked.start && Number(last) === expected && size === expected - asked.start + 1
}
