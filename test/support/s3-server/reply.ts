import type { IncomingMessage, ServerResponse } from 'node:http'
import { readBlobs } from './blobs.ts'
import type { Reply } from './call.ts'
import type { Effect } from './faults.ts'
import { S3Error } from './s3-error.ts'
import { xmlDocument } from './xml.ts'

export function errorReply(error: unknown): Reply {
  const { code, status, message } = error instanceof S3Error ? error : new S3Error('InternalError', String(error))
  return { status, xml: xmlDocument('Error', { Code: code, Message: message, RequestId: 'test' }) }
}

/** Sends a reply, damaged as the effect says. Resolves when it is sent or the connection is gone. */
export async function sendReply(
  req: IncomingMessage,
  res: ServerResponse,
  reply: Reply,
  effect: Effect | undefined,
): Promise<void> {
  for (const [name, value] of Object.entries(reply.headers ?? {})) if (value !== undefined) res.setHeader(name, value)
  if (reply.xml !== undefined && req.method !== 'HEAD') {
    res.setHeader('content-type', 'application/xml')
    res.setHeader('content-length', Buffer.byteLength(reply.xml))
  }
  res.writeHead(reply.status)
  if (reply.content) await sendContent(res, reply.content, effect)
  else if (effect?.kind === 'stall') res.flushHeaders()
  else res.end(req.method === 'HEAD' ? undefined : reply.xml)
}

async function sendContent(
  res: ServerResponse,
  { blobs, start, end }: NonNullable<Reply['content']>,
  effect: Effect | undefined,
): Promise<void> {
  const length = end - start + 1
  const cut = effect && 'afterBytes' in effect ? effect.afterBytes : effect?.kind === 'stall' ? length >> 1 : length
  const isWhole = cut >= length
  res.flushHeaders()
  let sent = 0
  for await (const chunk of readBlobs(blobs, start, start + Math.min(cut, length) - 1)) {
    const bytes = effect?.kind === 'flip' ? flipBit(chunk, effect.at - sent) : chunk
    sent += chunk.length
    if (!res.write(bytes)) await drained(res)
    if (res.destroyed) return
  }
  if (isWhole || effect === undefined) res.end()
  else if (effect.kind === 'truncate') res.socket?.end()
  else if (effect.kind === 'reset') res.socket?.resetAndDestroy()
}

/** Resolves when more may be written, or nothing ever again. */
async function drained(res: ServerResponse): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = () => {
      res.off('drain', done).off('close', done)
      resolve()
    }
    res.on('drain', done).on('close', done)
  })
}

function flipBit(chunk: Buffer, at: number): Buffer {
  const byte = chunk[at]
  if (byte === undefined) return chunk
  const copy = Buffer.from(chunk)
  copy[at] = byte ^ 1
  return copy
}
