import { createHash, hash, type Hash } from 'node:crypto'
import { constants } from 'node:fs'
import { CofferError } from '../errors.ts'
import { applyToFile } from './attributes.ts'
import { fromBuffer, quoted, type Bytes } from './bytes.ts'
import { Folder } from './folder.ts'
import { SMALL_FILE_BYTES } from './read-member.ts'
import { componentsOf, corrupt } from './restore-path.ts'
import { close, errnoOf, mkdir, open, writeFully } from './system-calls.ts'
import type { TarEntry } from './tar-parser.ts'
import { TreeCursor } from './tree-cursor.ts'

const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
/** Small files written at a time. */
const MOST_PENDING = 16

/**
 * Writes folders and files, as they come, into folders that it made itself. Links wait for the end (`finish-tree.ts`), so that nothing is
 * ever written through one.
 */
export class MemberWriter {
  readonly #root: Folder
  readonly #cursor: TreeCursor
  readonly #pending: Promise<void>[] = []
  #file: SmallFile | LargeFile | null = null

  constructor(root: Folder) {
    this.#root = root
    this.#cursor = new TreeCursor(root, () => this.#settle())
  }

  async begin(entry: TarEntry): Promise<void> {
    const path = fromBuffer(entry.path)
    const components = componentsOf(path)
    const name = components.pop() ?? ''
    if (entry.type === 'symlink' || entry.type === 'hardlink') return
    const parent = await this.#openParent(components, path)
    if (entry.type === 'directory') await creating(path, () => mkdir(parent.at(name), { mode: 0o700 }))
    else if (entry.type !== 'file') throw corrupt(`${quoted(path)} is a ${entry.type}`)
    else if (entry.size <= SMALL_FILE_BYTES) this.#file = new SmallFile(parent.at(name), entry)
    else this.#file = await LargeFile.create(parent.at(name), entry)
  }

  async write(chunk: Buffer): Promise<void> {
    await this.#file?.write(chunk)
  }

  /** Returns the content's SHA-256 in hex; undefined for a member without content. */
  async end(): Promise<string | undefined> {
    const file = this.#file
    this.#file = null
    if (file instanceof SmallFile) {
      if (this.#pending.length >= MOST_PENDING) await this.#pending.shift()
      const stored = file.store()
      // Its failure is met when it is awaited; until then it must not count as unhandled.
      stored.catch(() => undefined)
      this.#pending.push(stored)
    }
    return file instanceof LargeFile ? file.finish() : file?.sha256()
  }

  /** Resolves when everything is written. */
  async finish(): Promise<void> {
    await this.#settle()
    await this.#cursor.finish()
  }

  /** Lets go of everything after a failure. */
  async abandon(): Promise<void> {
    await Promise.allSettled(this.#pending)
    if (this.#file instanceof LargeFile) this.#file.close()
    this.#cursor.close()
    this.#root.close()
  }

  /** Waits for all, also where one fails: what still writes does so by the folders that are closed next. */
  async #settle(): Promise<void> {
    const ended = await Promise.allSettled(this.#pending.splice(0))
    const failed = ended.find(({ status }) => status === 'rejected')
    if (failed) throw (failed as PromiseRejectedResult).reason
  }

  async #openParent(components: readonly Bytes[], path: Bytes): Promise<Folder> {
    try {
      return await this.#cursor.goTo(components)
    } catch (error) {
      if (!['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error))) throw error
      throw corrupt(`${quoted(path)} lies in no folder of the archive`, error)
    }
  }
}

class SmallFile {
  readonly #address: Buffer
  readonly #entry: TarEntry
  readonly #content: Buffer
  #filled = 0

  constructor(address: Buffer, entry: TarEntry) {
    this.#address = address
    this.#entry = entry
    this.#content = Buffer.allocUnsafe(entry.size)
  }

  write(chunk: Buffer): void {
    this.#filled += chunk.copy(this.#content, this.#filled)
  }

  sha256(): string {
    return hash('sha256', this.#content, 'hex')
  }

  async store(): Promise<void> {
    const fd = await creating(fromBuffer(this.#entry.path), () => open(this.#address, CREATE, 0o600))
    try {
      await writeFully(fd, this.#content)
      applyToFile(fd, this.#entry)
    } finally {
      close(fd)
    }
  }
}

class LargeFile {
  readonly #fd: number
  readonly #entry: TarEntry
  readonly #digest: Hash = createHash('sha256')

  private constructor(fd: number, entry: TarEntry) {
    this.#fd = fd
    this.#entry = entry
  }

  static async create(address: Buffer, entry: TarEntry): Promise<LargeFile> {
    return new LargeFile(await creating(fromBuffer(entry.path), () => open(address, CREATE, 0o600)), entry)
  }

  async write(chunk: Buffer): Promise<void> {
    this.#digest.update(chunk)
    await writeFully(this.#fd, chunk)
  }

  finish(): string {
    try {
      applyToFile(this.#fd, this.#entry)
    } finally {
      this.close()
    }
    return this.#digest.digest('hex')
  }

  close(): void {
    close(this.#fd)
  }
}

/** @throws CofferError RESTORE_FAILED for a name that is there already. */
export async function creating<T>(path: Bytes, create: () => Promise<T>): Promise<T> {
  try {
    return await create()
  } catch (cause) {
    if (errnoOf(cause) !== 'EEXIST') throw cause
    const message = `${quoted(path)} exists already: the archive holds it twice, or the file system takes two of its names for one`
    throw new CofferError('RESTORE_FAILED', message, { cause })
  }
}
