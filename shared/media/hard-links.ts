import type { Bytes } from './bytes.ts'
import type { Inode } from './read-member.ts'

/** Remembers the first name of each file that has several, until all of them were seen. */
export class HardLinks {
  readonly #first = new Map<string, { path: Bytes; unseen: number }>()

  /** The name under which the inode's bytes lie in the archive already; undefined makes this path that name. */
  firstName(path: Bytes, inode: Inode | undefined): Bytes | undefined {
    if (inode === undefined) return undefined
    const known = this.#first.get(inode.id)
    if (!known) {
      this.#first.set(inode.id, { path, unseen: inode.names - 1 })
      return undefined
    }
    known.unseen--
    if (known.unseen === 0) this.#first.delete(inode.id)
    return known.path
  }
}
