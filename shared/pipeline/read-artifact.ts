import type { ArtifactRecord } from '../domain/artifact.ts'
import { CofferError } from '../errors.ts'
import type { Store } from '../storage/store.ts'
import { release } from '../release.ts'
import { openAgeHeader } from './age-header.ts'
import { decryptAge } from './age-stream.ts'
import { Digest, watched } from './digest.ts'
import { decompressFrames } from './zstd-frames.ts'

export interface Progress {
  plainBytes: number
  storedBytes: number
}

export interface StoredArtifactOptions {
  store: Pick<Store, 'read'>
  record: ArtifactRecord
  signal?: AbortSignal
  onProgress?: (progress: Progress) => void
}

export interface ReadArtifactOptions extends StoredArtifactOptions {
  /** age secret keys; any one that opens the artifact is enough. */
  identities: readonly string[]
}

/**
 * The plain bytes of an artifact, never more than were recorded. What is yielded may turn out to be a good beginning of a
 * damaged whole: the stream ends without an error only if sizes and SHA-256 are those of the record. Whoever can't
 * undo what it has consumed reads through `holdBack`.
 *
 * @throws ARTIFACT_CORRUPT (the bytes are wrong), STORE_UNREACHABLE (they could not be read), KEY_MISSING, KEY_WRONG
 */
export async function* readArtifact(options: ReadArtifactOptions): AsyncGenerator<Buffer, void, void> {
  const { record, identities } = options
  if (record.encodings.includes('age') && identities.length === 0) {
    throw new CofferError('KEY_MISSING', `${record.key} is encrypted and no identity was given`)
  }
  try {
    yield* decodeArtifact(options, (header) => openAgeHeader(header, identities))
  } catch (error) {
    // A damaged header looks like one for somebody else; only the whole object's digest tells.
    if (error instanceof CofferError && error.code === 'KEY_WRONG') await verifyStored(options)
    throw error
  }
}

/** Reads the stored object and compares it with the record; needs no key. @throws ARTIFACT_CORRUPT, STORE_UNREACHABLE */
export async function verifyStored({ store, record, signal, onProgress }: StoredArtifactOptions): Promise<void> {
  const stored = new Digest()
  try {
    for await (const chunk of await store.read(record.key, signal && { signal })) {
      stored.update(chunk as Buffer)
      release(chunk as Buffer)
      onProgress?.({ plainBytes: 0, storedBytes: stored.size })
    }
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  }
  compare(record, 'stored', stored)
}

/** `readArtifact` for who can give the file key of the header. */
export async function* decodeArtifact(
  { store, record, signal, onProgress }: StoredArtifactOptions,
  unlock: (header: Buffer) => Buffer | Promise<Buffer>,
): AsyncGenerator<Buffer, void, void> {
  const stored = new Digest()
  const plain = new Digest()
  const report = () => onProgress?.({ plainBytes: plain.size, storedBytes: stored.size })
  const decoders = {
    age: (source: AsyncIterable<Buffer>) => decryptAge(source, unlock),
    zstd: (source: AsyncIterable<Buffer>) => decompressFrames(source, record.plain_size),
  }
  try {
    const object = await store.read(record.key, signal && { signal })
    let bytes: AsyncIterable<Buffer> = watched(object, (chunk) => {
      stored.update(chunk)
      report()
    })
    for (const encoding of record.encodings.toReversed()) bytes = decoders[encoding](bytes)
    for await (const chunk of bytes) {
      plain.update(chunk)
      if (plain.size > record.plain_size) break
      report()
      yield chunk
    }
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  }
  compare(record, 'plain', plain)
  compare(record, 'stored', stored)
}

function compare(record: ArtifactRecord, form: 'stored' | 'plain', digest: Digest): void {
  const size = record[`${form}_size`]
  if (digest.size !== size) {
    throw new CofferError('ARTIFACT_CORRUPT', `${record.key} has ${digest.size} ${form} bytes, recorded were ${size}`)
  }
  const sha256 = digest.sha256()
  const recorded = record[`${form}_sha256`]
  if (sha256 === recorded) return
  throw new CofferError(
    'ARTIFACT_CORRUPT',
    `the ${form} SHA-256 of ${record.key} is ${sha256}, recorded was ${recorded}`,
  )
}
