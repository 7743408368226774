import { createHash } from 'node:crypto'
import { asBuffer } from './chunks.ts'

/** Size and SHA-256 of the bytes that went by. */
export class Digest {
  readonly #hash = createHash('sha256')
  #size = 0

  get size(): number {
    return this.#size
  }

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes)
    this.#size += bytes.length
  }

  /** Lower-case hex; ends the digest. */
  sha256(): string {
    return this.#hash.digest('hex')
  }
}

/** Passes a stream on unchanged after `see` has seen each chunk. */
export async function* watched(
  source: AsyncIterable<Uint8Array>,
  see: (chunk: Buffer) => void,
): AsyncGenerator<Buffer, void, void> {
  for await (const chunk of source) {
    const bytes = asBuffer(chunk)
    see(bytes)
    yield bytes
  }
}
