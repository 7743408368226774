import type { KeyObject } from 'node:crypto'
import type { ArtifactRecord } from '../domain/artifact.ts'
import { CofferError } from '../errors.ts'
import { MAX_HEADER_BYTES, readAgeHeader } from './age-header.ts'
import { CHUNK_BYTES, NONCE_BYTES, openChunk, payloadKey, TAG_BYTES } from './age-stream.ts'
import { ByteReader } from './byte-reader.ts'

const SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES
const FIRST_READ_BYTES = MAX_HEADER_BYTES + NONCE_BYTES

/** Bytes of which any range can be read on its own. `read` yields exactly [start, end), or throws. */
export interface Ranged {
  size: number
  read(start: number, end: number): AsyncGenerator<Buffer, void, void>
}

/**
 * What lies inside an age file, by the chunks that a range touches; every one is authentic, and at its place, when it is yielded.
 * @param unlock gives the file key of a header, or throws
 * @throws ARTIFACT_CORRUPT
 */
export async function openAgeRanges(
  stored: Ranged,
  record: ArtifactRecord,
  unlock: (header: Buffer) => Promise<Buffer>,
): Promise<Ranged> {
  const reader = new ByteReader(stored.read(0, Math.min(FIRST_READ_BYTES, stored.size)))
  let begin: number
  let key: KeyObject
  try {
    const header = await readAgeHeader(reader)
    key = payloadKey(await unlock(header), await reader.take(NONCE_BYTES))
    begin = header.length + NONCE_BYTES
  } finally {
    await reader.close()
  }
  const payload = stored.size - begin
  const chunks = Math.ceil(payload / SEALED_CHUNK_BYTES)
  const size = payload - chunks * TAG_BYTES
  if (chunks < 1 || size < 0) throw new CofferError('ARTIFACT_CORRUPT', `${record.key} has no age payload`)

  async function* read(start: number, end: number): AsyncGenerator<Buffer, void, void> {
    const first = Math.floor(start / CHUNK_BYTES)
    const last = Math.ceil(end / CHUNK_BYTES) - 1
    const from = begin + first * SEALED_CHUNK_BYTES
    const to = Math.min(stored.size, begin + (last + 1) * SEALED_CHUNK_BYTES)
    const sealed = new ByteReader(stored.read(from, to))
    try {
      for (let index = first; index <= last; index++) {
        const length = Math.min(SEALED_CHUNK_BYTES, stored.size - begin - index * SEALED_CHUNK_BYTES)
        const plain = openChunk(key, await sealed.take(length), index, index === chunks - 1)
        const at = index * CHUNK_BYTES
        yield plain.subarray(Math.max(0, start - at), Math.min(plain.length, end - at))
      }
    } finally {
      await sealed.close()
    }
  }
  return { size, read }
}
