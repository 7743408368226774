import { createHash } from 'node:crypto'
import type { BigIntStats } from 'node:fs'
import { close, errnoOf, fstat, readFully } from './system-calls.ts'

const READ_BYTES = 512 * 1024

export function isSameContent(before: BigIntStats, after: BigIntStats): boolean {
  return before.ino === after.ino && before.size === after.size && before.mtimeNs === after.mtimeNs
}

/** An open file that yields exactly as many bytes as it had when it was opened, whatever happens to it meanwhile. */
export class LargeFile {
  readonly #fd: number
  readonly #before: BigIntStats
  /** Known once the content has been read to its end. */
  sha256 = ''
  /** It was written to meanwhile: cut, or filled up with zeros, to the size it had. */
  changed = false
  /** Errno of a read that failed; zeros stand in for what it could not read. */
  failure: string | null = null

  constructor(fd: number, before: BigIntStats) {
    this.#fd = fd
    this.#before = before
  }

  close(): void {
    close(this.#fd)
  }

  /** The content; closes the file, also when it is abandoned. */
  async *content(): AsyncGenerator<Buffer, void, undefined> {
    const size = Number(this.#before.size)
    const digest = createHash('sha256')
    let ahead = this.#read(Math.min(READ_BYTES, size))
    try {
      for (let offset = 0; offset < size;) {
        const chunk = await ahead
        offset += chunk.length
        ahead = this.#read(Math.min(READ_BYTES, size - offset))
        digest.update(chunk)
        yield chunk
      }
      this.sha256 = digest.digest('hex')
      this.changed ||= !isSameContent(this.#before, fstat(this.#fd))
    } finally {
      await ahead
      this.close()
    }
  }

  async #read(length: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(length)
    let filled = 0
    try {
      if (this.failure === null) filled = await readFully(this.#fd, buffer)
    } catch (error) {
      this.failure = errnoOf(error) || 'EIO'
    }
    if (filled < length) {
      this.changed = true
      buffer.fill(0, filled)
    }
    return buffer
  }
}
