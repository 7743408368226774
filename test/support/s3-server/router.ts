import type { IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import type { Keep } from './blobs.ts'
import type { Bucket, StoredObject } from './bucket.ts'
import type { Call, Reply } from './call.ts'
import { listObjects, listParts, listUploads } from './lists.ts'
import { deleteObject, etagOf, getObject, putObject, readAttributes } from './objects.ts'
import { receiveBody } from './request-body.ts'
import { S3Error } from './s3-error.ts'
import { verifySignature } from './sigv4.ts'
import type { Credentials } from './sigv4.ts'
import { abortUpload, checkPartNumber, completeUpload, createUpload, findUpload, putPart } from './uploads.ts'

export interface Settings {
  credentials: Credentials
  clock: () => Date
  keep: Keep
  /** Most entries of a list's page. */
  pageSize: number
  maxParts: number
  storageClasses: readonly string[]
}

/** Verifies and carries out one request. */
export async function answer(bucket: Bucket, call: Call, req: IncomingMessage, settings: Settings): Promise<Reply> {
  const payloadHash = verifySignature(req, settings.credentials, settings.clock().getTime())
  if (call.bucket !== bucket.name) throw new S3Error('NoSuchBucket', 'The specified bucket does not exist')
  switch (call.op) {
    case 'PutObject':
      return await receiveObject(bucket, call, req, payloadHash, settings)
    case 'UploadPart': {
      findUpload(bucket, call)
      const number = checkPartNumber(call, settings.maxParts)
      return await putPart(bucket, call, number, await receiveBody(req, payloadHash, settings.keep), settings.clock())
    }
    case 'CreateMultipartUpload':
      return createUpload(bucket, call, readAttributes(call, settings.storageClasses), settings.clock())
    case 'CompleteMultipartUpload':
      return await completeUpload(bucket, call, await text(req), settings.clock())
    case 'AbortMultipartUpload':
      return await abortUpload(bucket, call)
    case 'GetObject':
    case 'HeadObject':
      return getObject(bucket, call)
    case 'DeleteObject':
      return await deleteObject(bucket, call)
    case 'ListObjectsV2':
      return listObjects(bucket, call, settings.pageSize)
    case 'ListMultipartUploads':
      return listUploads(bucket, call, settings.pageSize)
    case 'ListParts':
      return listParts(bucket, call, settings.pageSize)
    case 'HeadBucket':
      return { status: 200 }
    default:
      throw new S3Error(
        'NotImplemented',
        'A header or query you provided implies functionality that is not implemented',
      )
  }
}

async function receiveObject(
  bucket: Bucket,
  call: Call,
  req: IncomingMessage,
  payloadHash: string,
  { keep, clock, storageClasses }: Settings,
): Promise<Reply> {
  const attributes = readAttributes(call, storageClasses)
  const blob = await receiveBody(req, payloadHash, keep)
  const object: StoredObject = {
    ...attributes,
    blobs: [blob],
    size: blob.size,
    etag: etagOf(blob, attributes),
    crc32: blob.checksums.crc32,
    modifiedAt: clock(),
  }
  return await putObject(bucket, call, object)
}
