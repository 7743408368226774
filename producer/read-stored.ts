import type { ArtifactRecord } from '../shared/domain/artifact.ts'
import { CofferError } from '../shared/errors.ts'
import { Digest } from '../shared/pipeline/digest.ts'
import type { Store } from '../shared/storage/store.ts'
import type { ByteRange } from './download-headers.ts'

export interface ReadStoredOptions {
  store: Store
  record: ArtifactRecord
  range: ByteRange | null
  signal: AbortSignal
}

/**
 * The stored bytes as they are. Read whole, they end without an error only if size and SHA-256 are those of the record; a range can't be
 * proven. @throws ARTIFACT_CORRUPT, OBJECT_NOT_FOUND, STORE_UNREACHABLE
 */
export async function* readStored({
  store,
  record,
  range,
  signal,
}: ReadStoredOptions): AsyncGenerator<Buffer, void, void> {
  if (range !== null) {
    yield* (await store.read(record.key, { ...range, signal })) as AsyncIterable<Buffer>
    return
  }
  const digest = new Digest()
  for await (const chunk of (await store.read(record.key, { signal })) as AsyncIterable<Buffer>) {
    digest.update(chunk)
    yield chunk
  }
  const sha256 = digest.sha256()
  if (digest.size === record.stored_size && sha256 === record.stored_sha256) return
  throw new CofferError(
    'ARTIFACT_CORRUPT',
    `${record.key} has ${digest.size} bytes with SHA-256 ${sha256}, not the ${record.stored_size} with ${record.stored_sha256} that were recorded`,
  )
}
