import type { Bytes } from './bytes.ts'
import type { Inode } from './read-member.ts'

/** Of files with names that have not come yet, which may lie outside of the folder and never come. */
const MOST_REMEMBERED = 50_000

interface First {
  path: Bytes
  unseen: number
  version: string
}

/** Remembers the first name of each file that has several, until all of them were seen. */
export class HardLinks {
  readonly #first = new Map<string, First>()
  #apart = 0

  /** The name under which the inode's bytes lie in the archive already; undefined makes this path that name. */
  firstName(path: Bytes, inode: Inode | undefined): Bytes | undefined {
    if (inode === undefined) return undefined
    const known = this.#first.get(inode.id)
    // A file that was written to meanwhile, or another one that got the number of a file that is gone.
    if (known?.version !== inode.version) {
      this.#remember(path, inode)
      return undefined
    }
    known.unseen--
    if (known.unseen === 0) this.#first.delete(inode.id)
    return known.path
  }

  forget(inode: Inode | undefined): void {
    if (inode !== undefined) this.#first.delete(inode.id)
  }

  warnings(): string[] {
    return this.#apart > 0
      ? [`${this.#apart} name(s) of files with several names were stored apart: too many wait for their other names`]
      : []
  }

  #remember(path: Bytes, { id, names, version }: Inode): void {
    if (this.#first.size < MOST_REMEMBERED || this.#first.has(id)) {
      this.#first.set(id, { path, unseen: names - 1, version })
    } else this.#apart++
  }
}
