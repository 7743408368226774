import { CofferError } from '../errors.ts'
import type { FileEntry } from '../domain/file-list.ts'
import type { MediaContents } from '../domain/manifest.ts'
import { ArchiveCheck } from './archive-check.ts'
import { ArchiveTally } from './archive-tally.ts'
import { BlockBuffer } from './block-buffer.ts'
import { fromText } from './bytes.ts'
import { encodeHeader, END_OF_ARCHIVE, padding, type MemberHeader } from './pax-encoder.ts'

/** Blocks at least this large go down the pipeline. */
const BLOCK_BYTES = 256 * 1024

export interface ArchiveOutput {
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

/** Writes members one after the other, keeps what an independent parser must find again, and ends with the list of them. */
export class ArchiveWriter {
  readonly check = new ArchiveCheck()
  readonly tally = new ArchiveTally()
  readonly #output: ArchiveOutput
  readonly #blocks = new BlockBuffer(BLOCK_BYTES)
  #proven = false

  constructor(output: ArchiveOutput) {
    this.#output = output
  }

  /** @returns where its content lies; to be followed by exactly that content, and `endMember`. */
  beginMember(header: MemberHeader): { artifact: string; offset: number } {
    this.#blocks.add(encodeHeader(header))
    this.check.expect({ ...header, offset: this.#blocks.position })
    return { artifact: this.#output.artifact, offset: this.#blocks.position }
  }

  add(content: Buffer): void {
    this.#blocks.add(content)
  }

  async *pass(content: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer, void, undefined> {
    for await (const chunk of content) {
      this.#output.signal?.throwIfAborted()
      this.#blocks.add(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
      yield* this.whenFull()
    }
  }

  endMember(size: number): void {
    this.#blocks.add(padding(size))
  }

  *whenFull(): Generator<Buffer, void, undefined> {
    if (this.#blocks.isFull) yield this.#blocks.take()
  }

  async list(entry: FileEntry): Promise<void> {
    this.tally.count(entry)
    await this.#output.appendToList(entry)
  }

  /** @param bytes so far, more than the tally knows while a large file flows by */
  report(bytes = this.tally.bytes): void {
    this.#output.onProgress?.({ files: this.tally.files, bytes })
  }

  /** The list under this name, and the end of the archive. */
  async *finish(listMember: string): AsyncGenerator<Buffer, void, undefined> {
    const list = await this.#output.closeList()
    const path = fromText(listMember)
    this.beginMember({ path, type: 'file', size: list.size, mode: 0o644, uid: 0, gid: 0, mtimeNs: 0n })
    const end = this.#blocks.position + list.size
    yield* this.pass(list.open())
    if (this.#blocks.position !== end) {
      const missing = end - this.#blocks.position
      throw new CofferError(
        'ARCHIVE_INVALID',
        `the file list is ${missing} bytes shorter than the ${list.size} announced`,
      )
    }
    this.endMember(list.size)
    this.#blocks.add(END_OF_ARCHIVE)
    yield this.#blocks.take()
  }

  contents(listMember: string): MediaContents {
    if (!this.#proven) this.check.finish(fromText(listMember))
    this.#proven = true
    return this.tally.contents(listMember)
  }
}

/** MANIFEST, or where the tree has its own: MANIFEST.coffer, MANIFEST.coffer.1, … It always is the last member. */
export function listMemberFor(taken: ReadonlySet<string>): string {
  if (!taken.has('MANIFEST')) return 'MANIFEST'
  let candidate = 'MANIFEST.coffer'
  for (let count = 1; taken.has(candidate); count++) candidate = `MANIFEST.coffer.${count}`
  return candidate
}
