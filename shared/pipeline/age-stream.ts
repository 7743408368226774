import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, randomBytes, type KeyObject } from 'node:crypto'
import { CofferError } from '../errors.ts'
import { release, releasing } from '../release.ts'
import type { AgeHeader } from './age-header.ts'
import { readAgeHeader } from './age-header.ts'
import { ByteReader } from './byte-reader.ts'
import { inChunks } from './chunks.ts'

const ALGORITHM = 'chacha20-poly1305'
export const CHUNK_BYTES = 64 * 1024
export const TAG_BYTES = 16
export const NONCE_BYTES = 16

/** Encrypts a stream into the age v1 format: the header, the nonce, then STREAM chunks of 64 KiB. Releases the source's chunks. */
export async function* encryptAge(
  source: AsyncIterable<Uint8Array>,
  { header, fileKey }: AgeHeader,
): AsyncGenerator<Buffer, void, void> {
  const nonce = randomBytes(NONCE_BYTES)
  const key = payloadKey(fileKey, nonce)
  yield Buffer.concat([header, nonce])
  const spare: Buffer[] = []
  let index = 0
  for await (const { bytes, isLast } of inChunks(releasing(source), CHUNK_BYTES, spare)) {
    const cipher = createCipheriv(ALGORITHM, key, chunkNonce(index++, isLast), { authTagLength: TAG_BYTES })
    const body = cipher.update(bytes)
    cipher.final()
    if (!isLast) spare.push(bytes)
    const sealed = Buffer.concat([body, cipher.getAuthTag()])
    release(body)
    yield sealed
  }
}

/**
 * The inverse, which releases the source's chunks, too. Every chunk is authentic when it is yielded, but that nothing is missing is
 * known only at the end.
 *
 * @param unlock gives the file key of a header, or throws
 * @throws ARTIFACT_CORRUPT when a byte was changed, moved, added or cut off
 */
export async function* decryptAge(
  source: AsyncIterable<Uint8Array>,
  unlock: (header: Buffer) => Buffer | Promise<Buffer>,
): AsyncGenerator<Buffer, void, void> {
  const reader = new ByteReader(source)
  try {
    const fileKey = await unlock(await readAgeHeader(reader))
    const key = payloadKey(fileKey, await reader.take(NONCE_BYTES))
    const spare: Buffer[] = []
    let index = 0
    for await (const { bytes, isLast } of inChunks(releasing(reader.rest()), CHUNK_BYTES + TAG_BYTES, spare)) {
      const plain = openChunk(key, bytes, index++, isLast)
      if (!isLast) spare.push(bytes)
      yield plain
    }
  } finally {
    await reader.close()
  }
}

/** The plain bytes of one chunk, with its tag at the end. @throws ARTIFACT_CORRUPT unless it is authentic and at its place */
export function openChunk(key: KeyObject, chunk: Buffer, index: number, isLast: boolean): Buffer {
  const end = chunk.length - TAG_BYTES
  if (end < 0) throw corruptChunk(index, 'it is cut off')
  if (end === 0 && index > 0) throw corruptChunk(index, 'it is empty')
  const decipher = createDecipheriv(ALGORITHM, key, chunkNonce(index, isLast), { authTagLength: TAG_BYTES })
  decipher.setAuthTag(chunk.subarray(end))
  const plain = decipher.update(chunk.subarray(0, end))
  try {
    decipher.final()
  } catch (cause) {
    throw corruptChunk(
      index,
      isLast ? 'its tag does not match, or data is missing after it' : 'its tag does not match',
      cause,
    )
  }
  return plain
}

export function payloadKey(fileKey: Buffer, nonce: Buffer): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', fileKey, nonce, 'payload', 32)))
}

/** 11 bytes of big-endian counter (of which 6 hold any size that a number can), then 1 for the last chunk. */
function chunkNonce(index: number, isLast: boolean): Buffer {
  const nonce = Buffer.alloc(12)
  nonce.writeUIntBE(index, 5, 6)
  nonce[11] = isLast ? 1 : 0
  return nonce
}

function corruptChunk(index: number, why: string, cause?: unknown): CofferError {
  return new CofferError('ARTIFACT_CORRUPT', `age chunk ${index} is damaged: ${why}`, {
    cause,
    details: { chunk: index },
  })
}
