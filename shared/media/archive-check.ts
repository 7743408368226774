import { createHash } from 'node:crypto'
import type { Bytes } from './bytes.ts'
import { fromBuffer } from './bytes.ts'
import { invalid, TarParser } from './tar-parser.ts'

interface Expected {
  path: Bytes
  type: string
  size: number
  offset: number
}

/** Compares what an independent parser finds in the finished bytes with what was meant to be written, in constant memory. */
export class ArchiveCheck {
  readonly #parser = new TarParser()
  readonly #written = createHash('sha256')
  readonly #found = createHash('sha256')
  #membersWritten = 0
  #membersFound = 0
  #lastFound = ''
  #failure: unknown = null

  /** To be called for each member before its bytes are inspected. */
  expect(member: Expected): void {
    this.#membersWritten++
    this.#written.update(line(member))
  }

  /** Never throws: a failure is kept for `finish`. */
  inspect(chunk: Buffer): void {
    if (this.#failure !== null) return
    try {
      for (const event of this.#parser.push(chunk)) {
        if (event.type !== 'entry') continue
        const path = fromBuffer(event.entry.path)
        this.#membersFound++
        this.#lastFound = path
        this.#found.update(line({ ...event.entry, path }))
      }
    } catch (error) {
      this.#failure = error
    }
  }

  /** @throws CofferError ARCHIVE_INVALID unless the members are those that were written, and the named one is the last. */
  finish(lastMember: Bytes): void {
    if (this.#failure !== null) throw this.#failure as Error
    this.#parser.end()
    if (this.#membersFound !== this.#membersWritten) {
      throw invalid(`it has ${this.#membersFound} members where ${this.#membersWritten} were written`)
    }
    if (this.#found.digest('hex') !== this.#written.digest('hex')) {
      throw invalid('its members are not those that were written')
    }
    if (this.#lastFound !== lastMember) throw invalid('its last member is not the file list')
  }
}

const line = ({ type, size, offset, path }: Expected) => Buffer.from(`${type} ${size} ${offset} ${path}\0`, 'latin1')
