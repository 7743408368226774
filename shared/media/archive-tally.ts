import { CofferError } from '../errors.ts'
import type { FileEntry } from '../domain/file-list.ts'
import type { MediaContents } from '../domain/manifest.ts'
import { quoted } from './bytes.ts'
import { isInArchive, pathOf } from './file-list.ts'

const MOST_WARNINGS = 100
/** A live tree loses a few files while it is read; one that loses more was probably taken away. */
const MOST_VANISHED = 0.05
const FEW = 3

/** Counts what the list holds and puts into words what is not as it should be. */
export class ArchiveTally {
  #entries = 0
  #files = 0
  #bytes = 0
  #changed = 0
  #skipped = 0
  #vanished = 0
  #unreadable = 0
  readonly #warnings: string[] = []

  count(entry: FileEntry): void {
    this.#entries++
    if (entry.flag === 'changed') this.#changed++
    if (entry.flag === 'skipped') this.#skipped++
    if (entry.flag === 'vanished') this.#vanished++
    if (entry.flag === 'unreadable') this.#unreadable++
    if (isInArchive(entry) && (entry.type === 'file' || entry.type === 'hardlink')) {
      this.#files++
      this.#bytes += entry.size
    }
    if (entry.flag !== undefined) this.#warn(entry)
  }

  get files(): number {
    return this.#files
  }

  get bytes(): number {
    return this.#bytes
  }

  get unreadable(): number {
    return this.#unreadable
  }

  /** @throws CofferError MEDIA_UNREADABLE when so much vanished that what is left is no likeness of the folder. */
  refuseIfGone(root: string): void {
    const seen = this.#entries
    const isMost = this.#vanished === seen || this.#vanished > Math.max(FEW, seen * MOST_VANISHED)
    if (this.#vanished === 0 || !isMost) return
    throw new CofferError(
      'MEDIA_UNREADABLE',
      `${this.#vanished} of ${seen} entries of ${root} vanished while it was read`,
      {
        details: { vanished: this.#vanished, entries: seen },
        remedy: 'look who takes the folder away or unmounts it, then retry',
      },
    )
  }

  contents(listMember: string): MediaContents {
    return {
      kind: 'media',
      list_member: listMember,
      entries: this.#entries,
      files: this.#files,
      bytes: this.#bytes,
      changed: this.#changed,
      skipped: this.#skipped + this.#vanished,
      unreadable: this.#unreadable,
    }
  }

  /** The first hundred one by one, the rest as a number. */
  warnings(): string[] {
    const more = this.#changed + this.#skipped + this.#vanished + this.#unreadable - this.#warnings.length
    return more > 0 ? [...this.#warnings, `and ${more} more, see the file list`] : [...this.#warnings]
  }

  #warn(entry: FileEntry): void {
    if (this.#warnings.length >= MOST_WARNINGS) return
    const reason = entry.reason === undefined ? '' : `: ${entry.reason}`
    this.#warnings.push(`${quoted(pathOf(entry))} ${entry.flag ?? ''}${reason}`)
  }
}
