import type { Blob } from './blobs.ts'

/** What a request asked for about an object besides its bytes. */
export interface Attributes {
  contentType: string | undefined
  storageClass: string
  sse: string | undefined
  kmsKeyId: string | undefined
  /** User metadata, by header name. */
  metadata: Record<string, string>
}

export interface StoredObject extends Attributes {
  blobs: Blob[]
  size: number
  etag: string
  crc32: string | undefined
  modifiedAt: Date
}

export interface StoredPart {
  blob: Blob
  etag: string
  modifiedAt: Date
}

export interface PendingUpload {
  key: string
  attributes: Attributes
  checksumAlgorithm: string | undefined
  startedAt: Date
  parts: Map<number, StoredPart>
}

export interface Bucket {
  name: string
  objects: Map<string, StoredObject>
  /** By upload id. */
  uploads: Map<string, PendingUpload>
}

/** S3 lists by the bytes of the UTF-8 key. */
export const byKey = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))
