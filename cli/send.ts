import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { CofferError } from '../shared/errors.ts'
import type { Api } from './api.ts'
import { Received } from './resources/transfers.ts'

export interface Sent {
  stream: Readable
  name: string
  /** Bytes; null: nobody knows before they have ended. */
  size: number | null
}

/**
 * Streams a body to an address that the producer handed out, and compares what has arrived by size and SHA-256. `onBytes` hears the bytes
 * so far. Throws UPLOAD_BROKEN, what the producer answers, or the reason of the signal.
 */
export async function send(api: Api, link: string, sent: Sent, onBytes: (bytes: number) => void): Promise<void> {
  const hash = createHash('sha256')
  let bytes = 0
  const counted = (async function* () {
    for await (const chunk of sent.stream as AsyncIterable<Uint8Array | string>) {
      const piece = Buffer.from(chunk)
      hash.update(piece)
      bytes += piece.length
      onBytes(bytes)
      yield piece
    }
  })()
  const received = await api.put(link, Readable.toWeb(Readable.from(counted, { objectMode: false })), Received)
  const sha256 = hash.digest('hex')
  if (received.size === bytes && received.sha256 === sha256) return
  throw new CofferError(
    'UPLOAD_BROKEN',
    `of ${sent.name}, ${bytes} bytes with SHA-256 ${sha256} were sent; ${received.size} with ${received.sha256} have arrived`,
  )
}
