import { randomBytes } from 'node:crypto'
import { removeBlobs } from './blobs.ts'
import type { Blob } from './blobs.ts'
import type { Attributes, Bucket, StoredObject } from './bucket.ts'
import type { Call, Reply } from './call.ts'
import { S3Error } from './s3-error.ts'

export function readAttributes({ headers }: Call, storageClasses: readonly string[]): Attributes {
  const text = (name: string) => [headers[name]].flat()[0]
  const storageClass = text('x-amz-storage-class') ?? 'STANDARD'
  if (!storageClasses.includes(storageClass)) {
    throw new S3Error('InvalidStorageClass', 'The storage class you specified is not valid')
  }
  const metadata = Object.entries(headers).filter(([name]) => name.startsWith('x-amz-meta-'))
  return {
    contentType: text('content-type'),
    storageClass,
    sse: text('x-amz-server-side-encryption'),
    kmsKeyId: text('x-amz-server-side-encryption-aws-kms-key-id'),
    metadata: Object.fromEntries(metadata.map(([name, value]) => [name, String(value)])),
  }
}

/** With KMS an ETag is no MD5. */
export const etagOf = (blob: Blob, { sse }: Attributes) =>
  sse?.startsWith('aws:kms') ? randomBytes(16).toString('hex') : blob.md5

export async function putObject(bucket: Bucket, call: Call, object: StoredObject): Promise<Reply> {
  await replaceObject(bucket, call.key, object)
  return {
    status: 200,
    headers: {
      etag: `"${object.etag}"`,
      'x-amz-checksum-crc32': call.headers['x-amz-checksum-crc32'] && object.crc32,
      'x-amz-server-side-encryption': object.sse,
    },
  }
}

export async function replaceObject(bucket: Bucket, key: string, object: StoredObject): Promise<void> {
  const before = bucket.objects.get(key)
  bucket.objects.set(key, object)
  await removeBlobs(before?.blobs ?? [])
}

export async function deleteObject(bucket: Bucket, { key }: Call): Promise<Reply> {
  const before = bucket.objects.get(key)
  bucket.objects.delete(key)
  await removeBlobs(before?.blobs ?? [])
  return { status: 204 }
}

export function getObject(bucket: Bucket, { op, key, headers }: Call): Reply {
  const object = bucket.objects.get(key)
  if (!object) throw new S3Error('NoSuchKey', 'The specified key does not exist.')
  const range = readRange(headers.range, object.size)
  const { start, end } = range ?? { start: 0, end: object.size - 1 }
  return {
    status: range ? 206 : 200,
    headers: {
      etag: `"${object.etag}"`,
      'accept-ranges': 'bytes',
      'content-length': String(end - start + 1),
      'content-range': range && `bytes ${start}-${end}/${object.size}`,
      'content-type': object.contentType ?? 'binary/octet-stream',
      'last-modified': object.modifiedAt.toUTCString(),
      'x-amz-storage-class': object.storageClass === 'STANDARD' ? undefined : object.storageClass,
      'x-amz-server-side-encryption': object.sse,
      ...object.metadata,
    },
    ...(op === 'GetObject' && { content: { blobs: object.blobs, start, end } }),
  }
}

function readRange(header: string | undefined, size: number): { start: number; end: number } | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '')
  if (!match) return undefined
  const [, from = '', to = ''] = match
  const start = from === '' ? Math.max(size - Number(to), 0) : Number(from)
  const end = from === '' || to === '' ? size - 1 : Math.min(Number(to), size - 1)
  if (start >= size || start > end) throw new S3Error('InvalidRange', 'The requested range is not satisfiable')
  return { start, end }
}
