import type { IncomingMessage } from 'node:http'
import { removeBlobs, storeBlob } from './blobs.ts'
import type { Blob, Keep } from './blobs.ts'
import { decodeAwsChunked } from './aws-chunked.ts'
import { S3Error } from './s3-error.ts'

const CHECKSUMS = ['crc32', 'sha256'] as const

/** Stores a request's body after checking every length and checksum that came with it, in headers or in the trailer. */
export async function receiveBody(req: IncomingMessage, payloadHash: string, keep: Keep): Promise<Blob> {
  const trailer: Record<string, string> = {}
  const isChunked = payloadHash.startsWith('STREAMING-')
  if (isChunked && payloadHash !== 'STREAMING-UNSIGNED-PAYLOAD-TRAILER') {
    throw new S3Error('NotImplemented', `${payloadHash} is not implemented`)
  }
  const raw = req as AsyncIterable<Buffer>
  const blob = await storeBlob(isChunked ? decodeAwsChunked(raw, trailer) : raw, keep)
  try {
    checkBody(blob, req, payloadHash, trailer)
  } catch (error) {
    await removeBlobs([blob])
    throw error
  }
  return blob
}

function checkBody(blob: Blob, req: IncomingMessage, payloadHash: string, trailer: Record<string, string>): void {
  const given = { ...req.headers, ...trailer }
  const length = Number(given['x-amz-decoded-content-length'] ?? given['content-length'] ?? 0)
  if (blob.size !== length) throw new S3Error('IncompleteBody', `${blob.size} bytes came, ${length} were announced`)
  const announced = req.headers['x-amz-trailer']
  if (typeof announced === 'string' && !(announced in trailer)) {
    throw new S3Error('MalformedTrailerError', `The trailer ${announced} is missing.`)
  }
  if (/^[0-9a-f]{64}$/.test(payloadHash) && payloadHash !== blob.sha256Hex) {
    throw new S3Error('XAmzContentSHA256Mismatch', 'The provided x-amz-content-sha256 header does not match the body.')
  }
  const md5 = given['content-md5']
  if (md5 !== undefined && md5 !== Buffer.from(blob.md5, 'hex').toString('base64')) {
    throw new S3Error('BadDigest', 'The Content-MD5 you specified did not match what we received.')
  }
  for (const name of Object.keys(given).filter((each) => /^x-amz-checksum-(?!algorithm|type|mode)/.test(each))) {
    const algorithm = CHECKSUMS.find((each) => name === `x-amz-checksum-${each}`)
    if (!algorithm) throw new S3Error('NotImplemented', `${name} is not implemented`)
    if (given[name] !== blob.checksums[algorithm]) {
      throw new S3Error('BadDigest', `The ${algorithm} you specified did not match the calculated checksum.`)
    }
  }
}
