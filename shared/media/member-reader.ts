import type { FileEntry } from '../domain/file-list.ts'
import type { MediaContents } from '../domain/manifest.ts'
import { reached } from '../steps.ts'
import { fromBuffer, fromText, quoted, type Bytes } from './bytes.ts'
import { encodeFileEntry, linkFields, LONGEST_LINE, pathFields } from './file-list.ts'
import type { MemberWriter } from './member-writer.ts'
import type { NoteFile } from './note-file.ts'
import { corrupt } from './restore-path.ts'
import { TarParser, type TarEntry, type TarEvent } from './tar-parser.ts'

/** Takes the members other than the list, one after the other. */
export type TreeDestination = Pick<MemberWriter, 'begin' | 'write' | 'end' | 'finish'>

/** Where the parts of an archive go. */
export interface Destinations {
  tree: TreeDestination
  /** The archive's own list, as it lies in the archive. */
  list: NoteFile
  /** An entry for each member that was found. */
  found: NoteFile
}

/** Takes an archive apart as it flows by. What exceeds the recorded totals ends it before it can fill a disk. */
export class MemberReader {
  readonly #parser = new TarParser()
  readonly #to: Destinations
  readonly #expected: MediaContents
  readonly #listMember: Bytes
  #entry: TarEntry | null = null
  #isList = false
  #members = 0
  files = 0
  bytes = 0

  constructor(to: Destinations, expected: MediaContents) {
    this.#to = to
    this.#expected = expected
    this.#listMember = fromText(expected.list_member)
  }

  /** @throws CofferError ARTIFACT_CORRUPT, RESTORE_FAILED */
  async push(chunk: Buffer): Promise<void> {
    for (const event of asCorrupt(() => this.#parser.push(chunk))) await this.#take(event)
  }

  /** To be called after the last byte; resolves when everything is written. */
  async end(): Promise<void> {
    asCorrupt(() => this.#parser.end())
    if (!this.#isList) throw corrupt('its last member is not the file list')
    await this.#to.tree.finish()
    await this.#to.list.finish()
    await this.#to.found.finish()
  }

  async #take(event: TarEvent): Promise<void> {
    if (event.type === 'entry') await this.#begin(event.entry)
    else if (event.type === 'entry-end') await this.#end()
    else if (this.#isList) await this.#to.list.append(event.chunk)
    else await this.#write(event.chunk)
  }

  async #begin(entry: TarEntry): Promise<void> {
    const { entries, bytes } = this.#expected
    const path = fromBuffer(entry.path)
    if (this.#isList) throw corrupt(`${quoted(path)} follows the file list`)
    this.#entry = entry
    this.#isList = path === this.#listMember
    if (this.#isList) {
      const isFit = entry.type === 'file' && entry.size <= entries * LONGEST_LINE
      if (!isFit) throw corrupt(`its file list is a ${entry.type} of ${entry.size} bytes`)
      return
    }
    this.#members++
    if (this.#members > entries) throw corrupt(`it has more than the ${entries} entries recorded`)
    if (this.bytes + entry.size > bytes) throw corrupt(`it has more than the ${bytes} bytes recorded`)
    await this.#to.tree.begin(entry)
  }

  async #write(chunk: Buffer): Promise<void> {
    this.bytes += chunk.length
    await this.#to.tree.write(chunk)
  }

  async #end(): Promise<void> {
    if (this.#entry === null || this.#isList) return
    const sha256 = await this.#to.tree.end()
    if (this.#entry.type === 'file' || this.#entry.type === 'hardlink') this.files++
    reached('media-member-staged')
    await this.#to.found.append(encodeFileEntry(entryOf(this.#entry, sha256)))
  }
}

/** The line of a file list that tells of a member. */
export function entryOf(entry: TarEntry, sha256: string | undefined): FileEntry {
  return {
    ...pathFields(fromBuffer(entry.path)),
    type: entry.type,
    size: entry.size,
    mode: entry.mode,
    uid: entry.uid,
    gid: entry.gid,
    mtime_ns: String(entry.mtimeNs),
    ...(entry.link === null ? {} : linkFields(fromBuffer(entry.link))),
    ...(sha256 === undefined ? {} : { sha256 }),
  }
}

function asCorrupt<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw corrupt(error instanceof Error ? error.message : String(error), error)
  }
}
