import { createHash, randomBytes } from 'node:crypto'
import { lstat, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { Readable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import { CofferError } from '../errors.ts'
import { reached } from '../steps.ts'
import { release } from '../release.ts'
import { checkStore } from './check-store.ts'
import { onDisk, onDiskIfThere, systemCode } from './file-errors.ts'
import { makeMarked, MARKER, requireMarked } from './file-marker.ts'
import { makeFolder, removeEmptyFolders, syncFolder } from './file-folders.ts'
import { assertKey, assertPrefix, parsePendingName, pendingName } from './object-key.ts'
import { pullBody } from './pull-body.ts'
import type { PulledBody } from './pull-body.ts'
import type { ObjectInfo, PendingUpload, Store, WriteOptions, WrittenObject } from './store.ts'

const READ_SIZE = 256 * 1024
const CREATE_TRIES = 100

/** A folder as a store. An object is written under a temporary name beside its own, synced, read back and renamed. */
export class FileStore implements Store {
  readonly url: string
  readonly #root: string

  constructor(root: string) {
    this.#root = root
    this.url = pathToFileURL(root).href
  }

  async write(key: string, body: AsyncIterable<Uint8Array>, options: WriteOptions = {}): Promise<WrittenObject> {
    const source = pullBody(body, options.signal ?? new AbortController().signal)
    try {
      assertKey(key)
      await requireMarked(this.#root)
      return await this.#writeFrom(source, key, options)
    } finally {
      await source.close()
    }
  }

  async #writeFrom(source: PulledBody, key: string, options: WriteOptions): Promise<WrittenObject> {
    const path = this.#path(key)
    const pending = join(dirname(path), pendingName(basename(path), randomBytes(16).toString('hex')))
    const { handle, folders } = await this.#openPending(pending)
    try {
      const size = await fillAndProve(handle, pending, key, source, options)
      options.signal?.throwIfAborted()
      reached('before-complete', { key })
      await onDisk('rename to', path, () => rename(pending, path))
      for (const folder of folders) await syncFolder(folder)
      reached('after-complete', { key })
      return { key, size, confirmedBy: 'sha256' }
    } catch (error) {
      // The failure is what the caller must hear of; a temporary file that stays is shown by pendingUploads.
      await rm(pending, { force: true }).catch(() => undefined)
      await removeEmptyFolders(dirname(path), this.#root)
      throw error
    }
  }

  /**
   * A rival delete may remove a new folder before the first file is in it: then it is made again. A folder that vanishes while
   * Node makes it looks like a file in its place (ENOTDIR), so only what lasts is believed.
   */
  async #openPending(pending: string): Promise<{ handle: FileHandle; folders: string[] }> {
    for (let tries = 1; ; tries++) {
      try {
        const folders = await makeFolder(dirname(pending), this.#root)
        return { folders, handle: await onDisk('create', pending, () => open(pending, 'wx+', 0o600)) }
      } catch (error) {
        if (tries === CREATE_TRIES || !hasVanished(error)) throw error
      }
    }
  }

  async read(
    key: string,
    { start = 0, end, signal }: { start?: number; end?: number; signal?: AbortSignal } = {},
  ): Promise<Readable> {
    assertKey(key)
    signal?.throwIfAborted()
    await requireMarked(this.#root)
    const path = this.#path(key)
    const handle = await onDiskIfThere('open', path, () => open(path, 'r'))
    const info = await handle?.stat()
    if (!handle || !info?.isFile()) {
      await handle?.close()
      throw new CofferError('OBJECT_NOT_FOUND', `there is no object ${key} in ${this.url}`)
    }
    const last = Math.min(end ?? Infinity, info.size - 1)
    const stream = Readable.from(readFully(handle, path, start, last), { objectMode: false, ...(signal && { signal }) })
    // Not in a finally of the generator: that does not run when the stream is destroyed before its first read.
    stream.once('close', () => void handle.close().catch(() => undefined))
    return stream
  }

  async head(key: string): Promise<ObjectInfo | null> {
    assertKey(key)
    await requireMarked(this.#root)
    const path = this.#path(key)
    const info = await onDiskIfThere('look at', path, () => stat(path))
    return info?.isFile() ? { key, size: info.size, modifiedAt: info.mtime } : null
  }

  async delete(key: string): Promise<void> {
    assertKey(key)
    if ((await this.head(key)) === null) return
    await this.#remove(this.#path(key))
  }

  async *list(prefix: string): AsyncIterable<ObjectInfo> {
    for await (const path of this.#filesUnder(prefix)) {
      const key = relative(this.#root, path)
      if (key === MARKER || parsePendingName(basename(path)) || !key.startsWith(prefix)) continue
      const info = await onDiskIfThere('look at', path, () => stat(path))
      if (info) yield { key, size: info.size, modifiedAt: info.mtime }
    }
  }

  async *pendingUploads(prefix: string): AsyncIterable<PendingUpload> {
    for await (const path of this.#filesUnder(prefix)) {
      const pending = parsePendingName(basename(path))
      const key = pending && relative(this.#root, join(dirname(path), pending.name))
      if (!pending || !key?.startsWith(prefix)) continue
      const info = await onDiskIfThere('look at', path, () => stat(path))
      // Not every file system keeps a birth time.
      const startedAt = info?.birthtimeMs ? info.birthtime : info?.mtime
      if (startedAt) yield { key, uploadId: pending.uploadId, startedAt }
    }
  }

  async abortUpload({ key, uploadId }: PendingUpload): Promise<void> {
    assertKey(key)
    await requireMarked(this.#root)
    const path = this.#path(key)
    const name = pendingName(basename(path), uploadId)
    if (!parsePendingName(name)) throw new CofferError('STORE_REFUSED', `${uploadId} is no upload of a file store`)
    await this.#remove(join(dirname(path), name))
  }

  async prepare(): Promise<void> {
    await makeMarked(this.#root)
  }

  async check(): Promise<void> {
    await checkStore(this)
  }

  close(): void {
    // Holds nothing open between calls.
  }

  #path(key: string): string {
    return join(this.#root, key)
  }

  async #remove(path: string): Promise<void> {
    const removed = await onDiskIfThere('remove', path, async () => {
      await unlink(path)
      return true
    })
    if (removed) await syncFolder(dirname(path)).catch(ignoreVanished)
    await removeEmptyFolders(dirname(path), this.#root)
  }

  async *#filesUnder(prefix: string): AsyncIterable<string> {
    assertPrefix(prefix)
    await requireMarked(this.#root)
    const waiting = [join(this.#root, prefix.slice(0, prefix.lastIndexOf('/') + 1))]
    for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
      const path = folder
      // By name only: where the file system does not tell the types of entries, Node would fail for one that has gone meanwhile.
      for (const name of (await onDiskIfThere('list', path, () => readdir(path))) ?? []) {
        const entry = await onDiskIfThere('look at', join(path, name), () => lstat(join(path, name)))
        if (entry?.isDirectory()) waiting.push(join(path, name))
        else if (entry?.isFile()) yield join(path, name)
      }
    }
  }
}

/** Writes the body, syncs it, reads it back and compares; returns its size. Closes the handle. */
async function fillAndProve(
  handle: FileHandle,
  path: string,
  key: string,
  source: PulledBody,
  { signal, onReadBack }: WriteOptions,
): Promise<number> {
  try {
    const sent = createHash('sha256')
    let size = 0
    for (let chunk = await source.next(); chunk; chunk = await source.next()) {
      sent.update(chunk)
      await writeFully(handle, path, chunk)
      if (size === 0 && chunk.length > 0) reached('mid-part', { key })
      size += chunk.length
    }
    await onDisk('sync', path, () => handle.sync())
    const held = createHash('sha256')
    const heldSize = (await handle.stat()).size
    for await (const chunk of readFully(handle, path, 0, heldSize - 1)) {
      signal?.throwIfAborted()
      held.update(chunk)
      release(chunk)
      onReadBack?.()
    }
    if (heldSize !== size || held.digest('hex') !== sent.digest('hex')) {
      throw new CofferError('STORE_MISMATCH', `${path} does not hold the ${size} bytes that were written to it`)
    }
    return size
  } finally {
    await handle.close()
  }
}

async function writeFully(handle: FileHandle, path: string, chunk: Uint8Array): Promise<void> {
  for (let done = 0; done < chunk.length;) {
    const { bytesWritten } = await onDisk('write', path, () => handle.write(chunk, done))
    done += bytesWritten
  }
}

async function* readFully(handle: FileHandle, path: string, first: number, last: number): AsyncGenerator<Uint8Array> {
  for (let at = first; at <= last;) {
    const buffer = Buffer.allocUnsafe(Math.min(READ_SIZE, last - at + 1))
    const { bytesRead } = await onDisk('read', path, () => handle.read(buffer, 0, buffer.length, at))
    if (bytesRead === 0) {
      throw new CofferError('STORE_UNREACHABLE', `${path} ended at byte ${at}, ${last - at + 1} bytes too early`)
    }
    at += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
}

function hasVanished(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'EEXIST'].includes(systemCode((error as Error).cause) ?? '')
}

function ignoreVanished(error: unknown): void {
  if (!hasVanished(error)) throw error
}
