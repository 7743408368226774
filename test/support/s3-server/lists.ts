import { byKey } from './bucket.ts'
import type { Bucket } from './bucket.ts'
import type { Call, Reply } from './call.ts'
import { S3Error } from './s3-error.ts'
import { findUpload } from './uploads.ts'
import { xmlDocument } from './xml.ts'

export function listObjects(bucket: Bucket, { query }: Call, pageSize: number): Reply {
  refuseDelimiter(query)
  const prefix = query.get('prefix') ?? ''
  const token = query.get('continuation-token')
  const after = token === null ? (query.get('start-after') ?? '') : Buffer.from(token, 'base64url').toString()
  const keys = [...bucket.objects.keys()].filter((key) => key.startsWith(prefix) && byKey(key, after) > 0).sort(byKey)
  const page = keys.slice(0, limit(query, 'max-keys', pageSize))
  const isTruncated = page.length < keys.length
  const contents = page.map((key) => {
    const { size = 0, etag = '', storageClass = '', modifiedAt } = bucket.objects.get(key) ?? {}
    return {
      Key: key,
      LastModified: modifiedAt?.toISOString(),
      ETag: `"${etag}"`,
      Size: size,
      StorageClass: storageClass,
    }
  })
  const result = {
    Name: bucket.name,
    Prefix: prefix,
    KeyCount: page.length,
    IsTruncated: isTruncated,
    NextContinuationToken: isTruncated ? Buffer.from(page.at(-1) ?? '').toString('base64url') : undefined,
    Contents: contents,
  }
  return { status: 200, xml: xmlDocument('ListBucketResult', result) }
}

export function listUploads(bucket: Bucket, { query }: Call, pageSize: number): Reply {
  refuseDelimiter(query)
  const prefix = query.get('prefix') ?? ''
  const keyMarker = query.get('key-marker') ?? ''
  const idMarker = query.get('upload-id-marker') ?? ''
  const all = [...bucket.uploads].map(([uploadId, { key, startedAt }]) => ({ uploadId, key, startedAt }))
  const left = all
    .filter(({ key }) => key.startsWith(prefix))
    .sort((a, b) => byKey(a.key, b.key) || byKey(a.uploadId, b.uploadId))
    .filter(({ key, uploadId }) => {
      const order = byKey(key, keyMarker)
      return order > 0 || (order === 0 && idMarker !== '' && byKey(uploadId, idMarker) > 0)
    })
  const page = left.slice(0, limit(query, 'max-uploads', pageSize))
  const isTruncated = page.length < left.length
  const result = {
    Bucket: bucket.name,
    IsTruncated: isTruncated,
    NextKeyMarker: isTruncated ? page.at(-1)?.key : undefined,
    NextUploadIdMarker: isTruncated ? page.at(-1)?.uploadId : undefined,
    Upload: page.map((each) => ({ Key: each.key, UploadId: each.uploadId, Initiated: each.startedAt.toISOString() })),
  }
  return { status: 200, xml: xmlDocument('ListMultipartUploadsResult', result) }
}

export function listParts(bucket: Bucket, call: Call, pageSize: number): Reply {
  const marker = Number(call.query.get('part-number-marker') ?? 0)
  const parts = [...findUpload(bucket, call).parts].sort(([a], [b]) => a - b).filter(([number]) => number > marker)
  const page = parts.slice(0, limit(call.query, 'max-parts', pageSize))
  const result = {
    Bucket: bucket.name,
    Key: call.key,
    UploadId: call.query.get('uploadId') ?? '',
    IsTruncated: page.length < parts.length,
    NextPartNumberMarker: page.at(-1)?.[0],
    Part: page.map(([number, { etag, blob, modifiedAt }]) => ({
      PartNumber: number,
      ETag: `"${etag}"`,
      Size: blob.size,
      LastModified: modifiedAt.toISOString(),
    })),
  }
  return { status: 200, xml: xmlDocument('ListPartsResult', result) }
}

const limit = (query: URLSearchParams, name: string, pageSize: number) =>
  Math.min(Number(query.get(name) ?? pageSize), pageSize)

function refuseDelimiter(query: URLSearchParams): void {
  if (query.get('delimiter')) throw new S3Error('NotImplemented', 'delimiter is not implemented')
}
