import { createHash, randomUUID } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { removeBlobs } from './blobs.ts'
import type { Blob } from './blobs.ts'
import type { Attributes, Bucket, PendingUpload, StoredPart } from './bucket.ts'
import type { Call, Reply } from './call.ts'
import { etagOf, replaceObject } from './objects.ts'
import { S3Error } from './s3-error.ts'
import { readParts, xmlDocument } from './xml.ts'

const SMALLEST_PART = 5 * 1024 * 1024

export function createUpload(bucket: Bucket, call: Call, attributes: Attributes, startedAt: Date): Reply {
  const uploadId = randomUUID()
  const checksumAlgorithm = call.headers['x-amz-checksum-algorithm']
  bucket.uploads.set(uploadId, {
    key: call.key,
    attributes,
    checksumAlgorithm: typeof checksumAlgorithm === 'string' ? checksumAlgorithm : undefined,
    startedAt,
    parts: new Map(),
  })
  const result = { Bucket: bucket.name, Key: call.key, UploadId: uploadId }
  return { status: 200, xml: xmlDocument('InitiateMultipartUploadResult', result) }
}

export function findUpload(bucket: Bucket, { key, query }: Call): PendingUpload {
  const upload = bucket.uploads.get(query.get('uploadId') ?? '')
  if (upload?.key !== key) throw new S3Error('NoSuchUpload', 'The specified upload does not exist.')
  return upload
}

export function checkPartNumber({ query }: Call, maxParts: number): number {
  const number = Number(query.get('partNumber'))
  if (Number.isInteger(number) && number >= 1 && number <= maxParts) return number
  throw new S3Error('InvalidArgument', `Part number must be an integer between 1 and ${maxParts}, inclusive`)
}

export async function putPart(
  bucket: Bucket,
  call: Call,
  number: number,
  blob: Blob,
  modifiedAt: Date,
): Promise<Reply> {
  // The upload may have been aborted while the part was coming.
  const upload = findUploadOr(bucket, call, () => removeBlobs([blob]))
  const { parts, attributes } = await upload
  const before = parts.get(number)
  const etag = etagOf(blob, attributes)
  parts.set(number, { blob, etag, modifiedAt })
  await removeBlobs(before ? [before.blob] : [])
  const crc = call.headers['x-amz-checksum-crc32'] && blob.checksums.crc32
  return { status: 200, headers: { etag: `"${etag}"`, 'x-amz-checksum-crc32': crc } }
}

async function findUploadOr(bucket: Bucket, call: Call, undo: () => Promise<void>): Promise<PendingUpload> {
  try {
    return findUpload(bucket, call)
  } catch (error) {
    await undo()
    throw error
  }
}

export async function abortUpload(bucket: Bucket, call: Call): Promise<Reply> {
  const { parts } = findUpload(bucket, call)
  bucket.uploads.delete(call.query.get('uploadId') ?? '')
  await removeBlobs([...parts.values()].map(({ blob }) => blob))
  return { status: 204 }
}

export async function completeUpload(bucket: Bucket, call: Call, body: string, modifiedAt: Date): Promise<Reply> {
  const upload = findUpload(bucket, call)
  const parts = chooseParts(upload, body)
  const md5s = parts.map(({ blob }) => Buffer.from(blob.md5, 'hex'))
  const etag = `${createHash('md5').update(Buffer.concat(md5s)).digest('hex')}-${parts.length}`
  const crc = upload.checksumAlgorithm === 'CRC32' ? compositeCrc32(parts) : undefined
  bucket.uploads.delete(call.query.get('uploadId') ?? '')
  const blobs = parts.map(({ blob }) => blob)
  const size = blobs.reduce((sum, blob) => sum + blob.size, 0)
  await replaceObject(bucket, call.key, { ...upload.attributes, blobs, size, etag, crc32: crc, modifiedAt })
  await removeBlobs([...upload.parts.values()].map(({ blob }) => blob).filter((blob) => !blobs.includes(blob)))
  const result = { Bucket: bucket.name, Key: call.key, ETag: `"${etag}"`, ChecksumCRC32: crc }
  return { status: 200, xml: xmlDocument('CompleteMultipartUploadResult', result) }
}

function chooseParts(upload: PendingUpload, body: string): StoredPart[] {
  const wanted = readParts(body)
  if (wanted.length === 0) throw new S3Error('MalformedXML', 'The XML you provided was not well-formed')
  if (wanted.some(({ partNumber }, index) => partNumber <= (wanted[index - 1]?.partNumber ?? 0))) {
    throw new S3Error('InvalidPartOrder', 'The list of parts was not in ascending order.')
  }
  return wanted.map(({ partNumber, etag, crc32: checksum }, index) => {
    const part = upload.parts.get(partNumber)
    const hasChecksum = upload.checksumAlgorithm === undefined || checksum !== undefined
    const isRight =
      part?.etag === etag && hasChecksum && (checksum ?? part.blob.checksums.crc32) === part.blob.checksums.crc32
    if (!part || !isRight) throw new S3Error('InvalidPart', 'One or more of the specified parts could not be found.')
    if (index < wanted.length - 1 && part.blob.size < SMALLEST_PART) {
      throw new S3Error('EntityTooSmall', 'Your proposed upload is smaller than the minimum allowed size')
    }
    return part
  })
}

function compositeCrc32(parts: StoredPart[]): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(crc32(Buffer.concat(parts.map(({ blob }) => Buffer.from(blob.checksums.crc32, 'base64')))))
  return `${bytes.toString('base64')}-${parts.length}`
}
