import { createHash, type Hash } from 'node:crypto'
import { fromBuffer, toBuffer, type Bytes } from './bytes.ts'
import type { TreeDestination } from './member-reader.ts'
import type { MemberWriter } from './member-writer.ts'
import type { TarEntry } from './tar-parser.ts'

/** Writes the files that have a place, into folders that are there, and takes only the hash of the others. */
export class SelectedWriter implements TreeDestination {
  readonly #writer: MemberWriter
  readonly #placeOf: (member: Bytes) => Bytes | undefined
  #passed: Hash | null = null
  #isWriting = false
  files = 0

  /** @param placeOf the path in the tree that a member's bytes go to */
  constructor(writer: MemberWriter, placeOf: (member: Bytes) => Bytes | undefined) {
    this.#writer = writer
    this.#placeOf = placeOf
  }

  async begin(entry: TarEntry): Promise<void> {
    if (entry.type !== 'file') return
    const place = this.#placeOf(fromBuffer(entry.path))
    if (place === undefined) {
      this.#passed = createHash('sha256')
      return
    }
    this.#isWriting = true
    this.files++
    await this.#writer.begin({ ...entry, path: toBuffer(place) })
  }

  async write(chunk: Buffer): Promise<void> {
    this.#passed?.update(chunk)
    if (this.#isWriting) await this.#writer.write(chunk)
  }

  async end(): Promise<string | undefined> {
    const sha256 = this.#isWriting ? await this.#writer.end() : this.#passed?.digest('hex')
    this.#isWriting = false
    this.#passed = null
    return sha256
  }

  finish(): Promise<void> {
    return this.#writer.finish()
  }
}
