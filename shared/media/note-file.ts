import { createReadStream } from 'node:fs'
import type { FileEntry } from '../domain/file-list.ts'
import { BlockBuffer } from './block-buffer.ts'
import { readFileList } from './file-list.ts'
import { close, open, writeFully } from './system-calls.ts'

/** A file list on disk: appended to, then closed, then read as often as needed. */
export class NoteFile {
  readonly #path: string
  readonly #fd: number
  readonly #blocks = new BlockBuffer(64 * 1024)
  #isOpen = true

  private constructor(path: string, fd: number) {
    this.#path = path
    this.#fd = fd
  }

  static async create(path: string): Promise<NoteFile> {
    return new NoteFile(path, await open(path, 'wx', 0o600))
  }

  async append(bytes: Buffer): Promise<void> {
    this.#blocks.add(bytes)
    if (this.#blocks.isFull) await writeFully(this.#fd, this.#blocks.take())
  }

  /** Writes what is left. */
  async finish(): Promise<void> {
    await writeFully(this.#fd, this.#blocks.take())
    this.close()
  }

  /** May be called twice. */
  close(): void {
    if (this.#isOpen) close(this.#fd)
    this.#isOpen = false
  }

  /** Opens it with the first read: a stream that nobody reads would keep it open, and nobody would hear of its failure. */
  async *bytes(): AsyncGenerator<Buffer, void, undefined> {
    for await (const chunk of createReadStream(this.#path)) yield chunk as Buffer
  }

  read(): AsyncGenerator<FileEntry, void, undefined> {
    return readFileList(this.bytes())
  }
}
