import { createHash, randomBytes } from 'node:crypto'
import { quoted, type Bytes } from './bytes.ts'
import { invalid } from './tar-parser.ts'

const MOST_NAMES = 5_000_000
const KINDS = { file: 1n, folder: 2n, impliedFolder: 3n, other: 4n }
type Kind = keyof typeof KINDS
const KIND_BITS = 3n

/**
 * The names of an archive that somebody else made, as they come: each once, under the root, and in folders. Holds 16 bytes for each, by a
 * hash with a key of its own, so that nobody can make two names meet.
 */
export class RepackNames {
  readonly #key = randomBytes(16)
  #slots = new BigUint64Array(4096)
  #count = 0

  /**
   * The name without `./`, doubled slashes and the slash at its end; empty for the root itself.
   * @throws ARCHIVE_INVALID for one that leads out of the root
   */
  static normalize(path: Bytes): Bytes {
    const parts = path.split('/')
    if (path.startsWith('/') || parts.includes('..') || path.includes('\0'))
      throw invalid(`a member has the name ${quoted(path.slice(0, 200))}, which leads out of the folder`)
    return parts.filter((part) => part !== '' && part !== '.').join('/')
  }

  /**
   * Takes a name. @returns the folders above it that were not in the archive so far, outermost first.
   * `known`: a folder that was only implied before.
   * @throws ARCHIVE_INVALID for a second one of the same name, or one that lies in no folder
   */
  add(path: Bytes, kind: 'file' | 'folder' | 'other'): { missing: Bytes[]; wasImplied: boolean } {
    const missing = this.#missingParents(path)
    for (const folder of missing) this.#put(folder, 'impliedFolder')
    const known = this.#get(path)
    const wasImplied = known === 'impliedFolder' && kind === 'folder'
    if (known !== undefined && !wasImplied) throw invalid(`it holds ${quoted(path)} twice`)
    if (!wasImplied) this.#put(path, kind)
    else this.#put(path, 'folder')
    return { missing, wasImplied }
  }

  isFile(path: Bytes): boolean {
    return this.#get(path) === 'file'
  }

  #missingParents(path: Bytes): Bytes[] {
    const missing: Bytes[] = []
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
      const folder = path.slice(0, end)
      const kind = this.#get(folder)
      if (kind === 'folder' || kind === 'impliedFolder') break
      if (kind !== undefined) throw invalid(`${quoted(path)} lies in ${quoted(folder)}, which is no folder`)
      missing.unshift(folder)
    }
    return missing
  }

  #get(path: Bytes): Kind | undefined {
    const hash = this.#hash(path)
    const found = this.#slots[this.#slotOf(hash)] ?? 0n
    const bits = found & ((1n << KIND_BITS) - 1n)
    return (Object.keys(KINDS) as Kind[]).find((kind) => KINDS[kind] === bits)
  }

  #put(path: Bytes, kind: Kind): void {
    if (this.#count * 2 >= this.#slots.length) this.#grow()
    const hash = this.#hash(path)
    const slot = this.#slotOf(hash)
    if (this.#slots[slot] === 0n && ++this.#count > MOST_NAMES) throw invalid(`it has more than ${MOST_NAMES} members`)
    this.#slots[slot] = hash | KINDS[kind]
  }

  #hash(path: Bytes): bigint {
    const digest = createHash('sha1').update(this.#key).update(path, 'latin1').digest()
    return (digest.readBigUInt64LE() >> KIND_BITS) << KIND_BITS
  }

  /** Where the hash is, or would be. */
  #slotOf(hash: bigint): number {
    const mask = this.#slots.length - 1
    let slot = Number((hash >> KIND_BITS) & BigInt(mask))
    for (;;) {
      const found = this.#slots[slot] ?? 0n
      if (found === 0n || (found >> KIND_BITS) << KIND_BITS === hash) return slot
      slot = (slot + 1) & mask
    }
  }

  #grow(): void {
    const old = this.#slots
    this.#slots = new BigUint64Array(old.length * 2)
    for (const value of old) if (value !== 0n) this.#slots[this.#slotOf((value >> KIND_BITS) << KIND_BITS)] = value
  }
}
