import { CofferError } from '../errors.ts'
import type { FileEntry } from '../domain/file-list.ts'
import type { MediaContents } from '../domain/manifest.ts'
import { ArchiveCheck } from './archive-check.ts'
import { ArchiveTally } from './archive-tally.ts'
import { BlockBuffer } from './block-buffer.ts'
import { fromText } from './bytes.ts'
import { describeAbsent, describeMember } from './describe-member.ts'
import { Folder } from './folder.ts'
import { HardLinks } from './hard-links.ts'
import { encodeHeader, END_OF_ARCHIVE, padding, type MemberHeader } from './pax-encoder.ts'
import type { NameList } from './name-list.ts'
import type { Member } from './read-member.ts'
import { readMembers } from './read-members.ts'
import { errnoOf } from './system-calls.ts'

/** Blocks at least this large go down the pipeline. */
const BLOCK_BYTES = 256 * 1024

export interface ArchiveOptions {
  /** Real path of the media root, from `resolveMediaRoot`. */
  root: string
  /** The key that entries name as the place of their bytes. */
  artifact: string
  signal?: AbortSignal
  /** Called in archive order, awaited. */
  appendToList(entry: FileEntry): Promise<void>
  /** Called once, after the last entry: the exact size of the NDJSON list and its bytes, which become the last member. */
  closeList(): Promise<{ size: number; open(): AsyncIterable<Uint8Array> }>
  onProgress?: (progress: { files: number; bytes: number }) => void
}

export interface Archive {
  /** POSIX pax tar, to be read once. Throws CofferError MEDIA_ROOT_MISSING, MEDIA_UNREADABLE, ARCHIVE_INVALID. */
  source: AsyncIterable<Buffer>
  /** Must be given every chunk that `source` yielded: parses it independently. */
  inspect(chunk: Buffer): void
  /** @throws CofferError ARCHIVE_INVALID unless the inspected bytes are whole and hold what was listed. */
  contents(): MediaContents
  /** What changed, vanished, was skipped or unreadable, in words. */
  warnings(): string[]
  /** How many entries could not be read: more than none makes the backup PARTIAL. */
  unreadable(): number
}

/**
 * Archives a live folder in constant memory: every member is as long as its header says, whatever happens to the file meanwhile, and no
 * symlink is followed. The root itself is no member; names are relative to it.
 */
export function openArchive(options: ArchiveOptions): Archive {
  const run = new ArchiveRun(options)
  return {
    source: run.produce(),
    inspect: (chunk) => run.check.inspect(chunk),
    contents: () => run.contents(),
    warnings: () => run.tally.warnings(),
    unreadable: () => run.tally.unreadable,
  }
}

class ArchiveRun {
  readonly check = new ArchiveCheck()
  readonly tally = new ArchiveTally()
  readonly #options: ArchiveOptions
  readonly #blocks = new BlockBuffer(BLOCK_BYTES)
  readonly #hardLinks = new HardLinks()
  #listMember = ''
  #proven = false

  constructor(options: ArchiveOptions) {
    this.#options = options
  }

  async *produce(): AsyncGenerator<Buffer, void, undefined> {
    const { root, names } = await openRoot(this.#options.root)
    this.#listMember = listMemberFor(names)
    for await (const member of readMembers(root, names)) {
      yield* this.#emit(member)
      this.#options.signal?.throwIfAborted()
      this.#report(this.tally.bytes)
    }
    this.tally.refuseIfGone(this.#options.root)
    yield* this.#emitList()
    this.#blocks.add(END_OF_ARCHIVE)
    yield this.#blocks.take()
  }

  contents(): MediaContents {
    if (!this.#proven) this.check.finish(fromText(this.#listMember))
    this.#proven = true
    return this.tally.contents(this.#listMember)
  }

  async *#emit(member: Member): AsyncGenerator<Buffer, void, undefined> {
    if (member.kind === 'absent') return this.#list(describeAbsent(member))
    const first = member.kind === 'bare' ? undefined : this.#hardLinks.firstName(member.header.path, member.inode)
    if (first !== undefined) {
      if (member.kind === 'large') member.file.close()
      const header: MemberHeader = { ...member.header, type: 'hardlink', size: 0, link: first }
      this.#begin(header)
      return this.#list(describeMember({ kind: 'bare', header }, this.#place()))
    }
    this.#begin(member.header)
    const place = this.#place()
    if (member.kind === 'small') this.#blocks.add(member.content)
    if (member.kind === 'large') yield* this.#pass(this.#watched(member.file.content()))
    this.#blocks.add(padding(member.header.size))
    if (this.#blocks.isFull) yield this.#blocks.take()
    return this.#list(describeMember(member, place))
  }

  async *#emitList(): AsyncGenerator<Buffer, void, undefined> {
    const list = await this.#options.closeList()
    this.#begin({
      path: fromText(this.#listMember),
      type: 'file',
      size: list.size,
      mode: 0o644,
      uid: 0,
      gid: 0,
      mtimeNs: 0n,
    })
    const end = this.#blocks.position + list.size
    yield* this.#pass(list.open())
    if (this.#blocks.position !== end) {
      const missing = end - this.#blocks.position
      throw new CofferError(
        'ARCHIVE_INVALID',
        `the file list is ${missing} bytes shorter than the ${list.size} announced`,
      )
    }
    this.#blocks.add(padding(list.size))
  }

  async *#pass(content: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer, void, undefined> {
    for await (const chunk of content) {
      this.#options.signal?.throwIfAborted()
      this.#blocks.add(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
      if (this.#blocks.isFull) yield this.#blocks.take()
    }
  }

  /** Reports while a large file flows by: it may take longer than all others. */
  async *#watched(content: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
    let bytes = this.tally.bytes
    for await (const chunk of content) {
      bytes += chunk.length
      this.#report(bytes)
      yield chunk
    }
  }

  #report(bytes: number): void {
    this.#options.onProgress?.({ files: this.tally.files, bytes })
  }

  #begin(header: MemberHeader): void {
    this.#blocks.add(encodeHeader(header))
    this.check.expect({ ...header, offset: this.#blocks.position })
  }

  #place(): { artifact: string; offset: number } {
    return { artifact: this.#options.artifact, offset: this.#blocks.position }
  }

  async #list(entry: FileEntry): Promise<void> {
    this.tally.count(entry)
    await this.#options.appendToList(entry)
  }
}

async function openRoot(path: string): Promise<{ root: Folder; names: NameList }> {
  let root: Folder | undefined
  try {
    root = await Folder.open(fromText(path))
    return { root, names: await root.list() }
  } catch (cause) {
    root?.close()
    const errno = errnoOf(cause)
    const code = ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errno) ? 'MEDIA_ROOT_MISSING' : 'MEDIA_UNREADABLE'
    throw new CofferError(code, `the media folder ${path} can't be opened (${errno})`, { cause })
  }
}

/** MANIFEST, or where the tree has its own: MANIFEST.coffer, MANIFEST.coffer.1, … It always is the last member. */
function listMemberFor(names: NameList): string {
  const taken = new Set<string>()
  for (const name of names) if (name.startsWith('MANIFEST')) taken.add(name.replace(/\/$/, ''))
  if (!taken.has('MANIFEST')) return 'MANIFEST'
  let candidate = 'MANIFEST.coffer'
  for (let count = 1; taken.has(candidate); count++) candidate = `MANIFEST.coffer.${count}`
  return candidate
}
