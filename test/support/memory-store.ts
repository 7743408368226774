import { Readable } from 'node:stream'
import { CofferError } from '../../shared/errors.ts'
import type { ObjectInfo, PendingUpload, Store, WriteOptions, WrittenObject } from '../../shared/storage/store.ts'

/** A store in memory whose bytes a test can spoil. */
export class MemoryStore implements Store {
  readonly url = 'memory://'
  readonly objects = new Map<string, Buffer>()

  async write(key: string, body: AsyncIterable<Uint8Array>, { signal }: WriteOptions = {}): Promise<WrittenObject> {
    const chunks = []
    for await (const chunk of body) {
      signal?.throwIfAborted()
      chunks.push(Buffer.from(chunk))
    }
    signal?.throwIfAborted()
    const bytes = Buffer.concat(chunks)
    this.objects.set(key, bytes)
    return { key, size: bytes.length, confirmedBy: 'size' }
  }

  read(key: string, { start = 0, end = Infinity }: { start?: number; end?: number } = {}): Promise<Readable> {
    const bytes = this.get(key).subarray(start, end + 1)
    return Promise.resolve(Readable.from(inPieces(bytes, 40_000), { objectMode: false }))
  }

  get(key: string): Buffer {
    const bytes = this.objects.get(key)
    if (bytes === undefined) throw new CofferError('OBJECT_NOT_FOUND', `there is no object ${key}`)
    return bytes
  }

  head(key: string): Promise<ObjectInfo | null> {
    const size = this.objects.get(key)?.length
    return Promise.resolve(size === undefined ? null : { key, size, modifiedAt: new Date(0) })
  }

  delete(key: string): Promise<void> {
    this.objects.delete(key)
    return Promise.resolve()
  }

  async *list(prefix: string): AsyncGenerator<ObjectInfo> {
    for (const key of this.objects.keys()) {
      const info = key.startsWith(prefix) ? await this.head(key) : null
      if (info) yield info
    }
  }

  async *pendingUploads(): AsyncGenerator<PendingUpload> {}

  abortUpload(): Promise<void> {
    return Promise.resolve()
  }

  prepare(): Promise<void> {
    return Promise.resolve()
  }

  check(): Promise<void> {
    return Promise.resolve()
  }

  close(): void {
    this.objects.clear()
  }
}

function* inPieces(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}
