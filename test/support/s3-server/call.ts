import type { IncomingMessage } from 'node:http'
import type { Blob } from './blobs.ts'

/** A request as S3 understands it. */
export interface Call {
  op: string
  bucket: string
  key: string
  query: URLSearchParams
  headers: IncomingMessage['headers']
}

export interface Reply {
  status: number
  headers?: Record<string, string | undefined>
  xml?: string
  /** Bytes `start` to `end` (inclusive) of the blobs laid end to end; `headers` has their content-length. */
  content?: { blobs: Blob[]; start: number; end: number }
}

/** Path-style addressing only: `/bucket/key`. */
export function readCall(req: IncomingMessage): Call {
  const url = new URL(req.url ?? '/', 'http://host')
  const [, bucket = '', ...rest] = url.pathname.split('/').map(decodeURIComponent)
  const key = rest.join('/')
  return {
    op: nameOperation(req.method ?? '', key, url.searchParams),
    bucket,
    key,
    query: url.searchParams,
    headers: req.headers,
  }
}

function nameOperation(method: string, key: string, query: URLSearchParams): string {
  const inUpload = query.has('uploadId')
  if (key === '') {
    if (method === 'HEAD') return 'HeadBucket'
    if (method === 'GET' && query.has('uploads')) return 'ListMultipartUploads'
    if (method === 'GET' && query.get('list-type') === '2') return 'ListObjectsV2'
  } else if (method === 'PUT') return inUpload ? 'UploadPart' : 'PutObject'
  else if (method === 'GET') return inUpload ? 'ListParts' : 'GetObject'
  else if (method === 'HEAD') return 'HeadObject'
  else if (method === 'DELETE') return inUpload ? 'AbortMultipartUpload' : 'DeleteObject'
  else if (method === 'POST' && query.has('uploads')) return 'CreateMultipartUpload'
  else if (method === 'POST' && inUpload) return 'CompleteMultipartUpload'
  return 'Unknown'
}
