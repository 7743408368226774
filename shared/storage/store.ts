import type { Readable } from 'node:stream'

export interface ObjectInfo {
  /** Relative to the store's own prefix, '/'-separated, never starting with '/'. */
  key: string
  size: number
  modifiedAt: Date
}

export interface WriteOptions {
  /** Aborting destroys the body, aborts a multipart upload and awaits that, then rejects with the signal's reason. */
  signal?: AbortSignal
  /** Bytes the body is expected to have, for example the last backup's size: sets the first part size. A guess, not a promise. */
  expectedSize?: number
  /** Overrides the store's default class (`s3://` only); the empty string asks for none. */
  storageClass?: string
  contentType?: string
  /** Called for every piece that the store reads back to compare it (`file://` only), which takes about as long as the writing. */
  onReadBack?: () => void
}

export interface WrittenObject {
  key: string
  size: number
  /** How the store confirmed what it holds, besides the size. */
  confirmedBy: 'sha256' | 'crc32' | 'etag' | 'size'
}

export interface PendingUpload {
  key: string
  uploadId: string
  startedAt: Date
}

/**
 * A named place where artifacts lie. One conformance suite (test/storage/conformance.ts) runs against every driver.
 *
 * Every method throws CofferError: STORE_UNREACHABLE (try again), STORE_REFUSED (credentials, bucket, settings), STORE_FULL,
 * OBJECT_NOT_FOUND (read only), OBJECT_TOO_LARGE (write only), STORE_MISMATCH (the store holds or gives something else than was
 * sent; try again). What the body throws, and a signal's reason, come through as they are. Every method may be called twice.
 */
export interface Store {
  /** For messages: without credentials. */
  readonly url: string

  /**
   * Streams a body of unknown length. Resolves only when the object is durable and the store has confirmed size and checksum;
   * nothing is visible under `key` before. On any failure (of the body, too) nothing is left behind that `pendingUploads` would
   * not show, a pending upload was aborted and the abort awaited. The one exception: a store that can't be reached any more after
   * the request that makes the object visible may keep the whole object. Closes the body, also on failure. Has no use any more for a
   * chunk of the body when it asks for the next.
   */
  write(key: string, body: AsyncIterable<Uint8Array>, options?: WriteOptions): Promise<WrittenObject>

  /**
   * Streams an object, or the bytes `start` to `end` (inclusive) of it. A connection that breaks, or fewer bytes than announced, is
   * STORE_UNREACHABLE, never a short read.
   */
  read(key: string, options?: { start?: number; end?: number; signal?: AbortSignal }): Promise<Readable>

  /** null: no such object. */
  head(key: string): Promise<ObjectInfo | null>

  /** Resolves when the object is gone, also when it never was there. */
  delete(key: string): Promise<void>

  /** Every object whose key starts with `prefix`, in no promised order, page by page. */
  list(prefix: string): AsyncIterable<ObjectInfo>

  /** Uploads that were begun and neither completed nor aborted (`file://`: temporary names). */
  pendingUploads(prefix: string): AsyncIterable<PendingUpload>

  /** Resolves when the pending upload is gone, also when it never was there. */
  abortUpload(upload: PendingUpload): Promise<void>

  /**
   * Makes the place a store, when it is used for the first time: from then on a folder that lost its mark (an unmounted disk) is
   * STORE_UNREACHABLE instead of an empty store. A bucket must exist already.
   */
  prepare(): Promise<void>

  /** Proves that writing, reading and deleting work now, by an object of its own; throws what stands against it. */
  check(): Promise<void>

  close(): void
}
