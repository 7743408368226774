import { CofferError } from '../errors.ts'
import type { FailureCode } from '../errors.ts'

/** The request that failed, for messages. */
export interface S3Request {
  operation: string
  bucket: string
  key?: string
}

const BY_CODE: Record<string, FailureCode> = {
  NoSuchKey: 'OBJECT_NOT_FOUND',
  NoSuchUpload: 'STORE_MISMATCH',
  InvalidPart: 'STORE_MISMATCH',
  InvalidPartOrder: 'STORE_MISMATCH',
  EntityTooLarge: 'OBJECT_TOO_LARGE',
  QuotaExceeded: 'STORE_FULL',
  XMinioStorageFull: 'STORE_FULL',
  InsufficientStorage: 'STORE_FULL',
  // Damaged on the way, a clock that the SDK corrects by the answer, or credentials that a refresh replaces: sent again.
  BadDigest: 'STORE_UNREACHABLE',
  XAmzContentSHA256Mismatch: 'STORE_UNREACHABLE',
  IncompleteBody: 'STORE_UNREACHABLE',
  RequestTimeout: 'STORE_UNREACHABLE',
  RequestTimeTooSkewed: 'STORE_UNREACHABLE',
  ExpiredToken: 'STORE_UNREACHABLE',
  OperationAborted: 'STORE_UNREACHABLE',
  NotImplemented: 'STORE_REFUSED',
  CredentialsProviderError: 'STORE_REFUSED',
  // The certificate, not the network.
  CERT_HAS_EXPIRED: 'STORE_REFUSED',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'STORE_REFUSED',
  SELF_SIGNED_CERT_IN_CHAIN: 'STORE_REFUSED',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'STORE_REFUSED',
  ERR_TLS_CERT_ALTNAME_INVALID: 'STORE_REFUSED',
}

/** The SDK says so in a plain Error. */
const NO_REGION = 'Region is missing'

/** What the SDK threw, as a CofferError. The server's own text is in the cause alone: it may repeat keys and addresses. */
export function fromS3(thrown: unknown, { operation, bucket, key }: S3Request): CofferError {
  if (thrown instanceof CofferError) return thrown
  const { name, code, status } = identify(thrown)
  const said = [code ?? name, status && `status ${status}`].filter(Boolean).join(', ')
  const what = key === undefined ? `bucket ${bucket}` : `${key} in bucket ${bucket}`
  return new CofferError(classify(name, code, status, operation), `${operation} of ${what} failed: ${said}`, {
    cause: bare(thrown),
    details: { operation, bucket, ...(key !== undefined && { key }), s3Code: code ?? name },
  })
}

/** The SDK's errors carry the whole request, its authorization header among it: nothing to hand to a log. */
function bare(thrown: unknown): Error {
  if (!(thrown instanceof Error)) return new Error(String(thrown))
  const cause = new Error(thrown.message)
  return Object.assign(cause, { name: thrown.name, stack: thrown.stack })
}

function classify(name: string, code: string | undefined, status: number | undefined, operation: string): FailureCode {
  const known = (code === undefined ? undefined : BY_CODE[code]) ?? BY_CODE[name]
  if (known) return known
  if (status === 507) return 'STORE_FULL'
  // A HEAD has no body that could say NoSuchKey; of all else, somebody between us and the store may have answered.
  if (status === 404 && name !== 'NoSuchBucket')
    return operation === 'HeadObject' ? 'OBJECT_NOT_FOUND' : 'STORE_UNREACHABLE'
  if (status === 408 || status === 429 || name === 'SlowDown') return 'STORE_UNREACHABLE'
  const isRefusal = status !== undefined && status >= 300 && status < 500
  return isRefusal || name === NO_REGION ? 'STORE_REFUSED' : 'STORE_UNREACHABLE'
}

function identify(thrown: unknown): { name: string; code: string | undefined; status: number | undefined } {
  const { name, message, code, $metadata } = thrown as {
    name?: unknown
    message?: unknown
    code?: unknown
    $metadata?: { httpStatusCode?: number }
  }
  return {
    name: message === NO_REGION ? NO_REGION : typeof name === 'string' ? name : 'an unknown error',
    code: typeof code === 'string' ? code : undefined,
    status: $metadata?.httpStatusCode,
  }
}
