import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { PulledBody } from './pull-body.ts'

export interface Part {
  bytes: Buffer
  md5: Buffer
  /** Unsigned 32 bits. */
  crc32: number
  /** The body ended within or right after this part. A body that ends on a part's border may tell so by an empty last one. */
  isLast: boolean
}

/** Cuts a body into parts without holding more of it than the chunk at hand. */
export class PartFiller {
  readonly #source: PulledBody
  #rest: Uint8Array = new Uint8Array(0)

  constructor(source: PulledBody) {
    this.#source = source
  }

  /** Fills the slab from its start; the part's bytes are a view of it. */
  async fill(slab: Buffer): Promise<Part> {
    const md5 = createHash('md5')
    let crc = 0
    let size = 0
    let isLast = false
    while (size < slab.length) {
      const chunk = this.#rest.length > 0 ? this.#rest : await this.#source.next()
      if (chunk === null) {
        isLast = true
        break
      }
      const taken = chunk.subarray(0, slab.length - size)
      this.#rest = chunk.subarray(taken.length)
      slab.set(taken, size)
      md5.update(taken)
      crc = crc32(taken, crc)
      size += taken.length
    }
    return { bytes: slab.subarray(0, size), md5: md5.digest(), crc32: crc, isLast }
  }
}
