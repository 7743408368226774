import type { FileEntry } from '../domain/file-list.ts'
import { hasDroppedBits, restoresOwners } from './attributes.ts'
import { isInArchive } from './file-list.ts'

/** Counts what a restore of these entries leaves out, and puts it into words. */
export class LeftOut {
  #missing = 0
  #broken = 0
  #dropped = 0
  #owners = 0

  count(entry: FileEntry): void {
    if (!isInArchive(entry)) {
      this.#missing++
      return
    }
    if (entry.type === 'file' && hasDroppedBits(entry.mode)) this.#dropped++
    if (entry.flag === 'unreadable') this.#broken++
    if (entry.uid !== process.getuid?.()) this.#owners++
  }

  lines(): string[] {
    return [
      ...(this.#missing > 0
        ? [`${this.#missing} entries of the list were never in the archive (vanished, skipped, unreadable)`]
        : []),
      ...(this.#broken > 0 ? [`${this.#broken} files broke off while they were backed up and end in zeros`] : []),
      ...(this.#dropped > 0 ? [`setuid and setgid were dropped from ${this.#dropped} files`] : []),
      ...(this.#owners > 0 && !restoresOwners()
        ? [`${this.#owners} entries belonged to other users; only root can restore that`]
        : []),
    ]
  }
}
