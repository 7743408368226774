import { Readable } from 'node:stream'
import type { ArtifactKind, ArtifactRecord } from '../domain/artifact.ts'
import { CofferError } from '../errors.ts'
import type { Store, WriteOptions } from '../storage/store.ts'
import { releasing } from '../release.ts'
import { createAgeHeader, type AgeHeader } from './age-header.ts'
import { encryptAge } from './age-stream.ts'
import { Digest, watched } from './digest.ts'
import { decodeArtifact, type Progress } from './read-artifact.ts'
import { compressFrames } from './zstd-frames.ts'

/** Longer than a child needs to die. A read that nothing can interrupt, of a dead mount for example, is left behind then. */
const CLOSE_GRACE_MS = 10_000

export interface WriteArtifactOptions {
  store: Pick<Store, 'write' | 'read'>
  key: string
  kind: ArtifactKind
  /** When it is asked for its next chunk, only `inspect` may still have a use for the last one. */
  source: AsyncIterable<Uint8Array>
  /** age public keys; without any the artifact is compressed only. */
  recipients: readonly string[]
  /** Sees every plain byte in order; throwing fails the artifact. */
  inspect?: (chunk: Buffer) => void
  signal?: AbortSignal
  expectedSize?: number
  storageClass?: string
  /** Called after every chunk that moved, on either side, and while the store reads it back. */
  onProgress?: (progress: Progress) => void
}

export interface WrittenArtifact {
  record: ArtifactRecord
  /**
   * The plain bytes again, read back from the store and checked against the record. Needs no identity, because this
   * process made the file key.
   */
  reopen: (signal?: AbortSignal) => AsyncIterable<Buffer>
}

/**
 * Streams the source through zstd and age into the store and records what went by. Nothing is written to disk, and no more
 * than a few frames are in memory. On any failure the source is closed before the rejection, and the object may be there
 * or not: the caller deletes what its attempt left.
 *
 * @throws whatever the source, `inspect` or the store throws, or the signal's reason
 */
export async function writeArtifact(options: WriteArtifactOptions): Promise<WrittenArtifact> {
  const { store, key, kind, recipients, onProgress } = options
  const age = recipients.length > 0 ? await createAgeHeader(recipients) : null
  const plain = new Digest()
  const stored = new Digest()
  const report = () => onProgress?.({ plainBytes: plain.size, storedBytes: stored.size })

  const source = options.source[Symbol.asyncIterator]()
  const inspected = watched({ [Symbol.asyncIterator]: () => source }, (chunk) => {
    plain.update(chunk)
    options.inspect?.(chunk)
    report()
  })
  const compressed = compressFrames(inspected)
  const body = watched(age === null ? compressed : encryptAge(compressed, age), (chunk) => {
    stored.update(chunk)
    report()
  })
  try {
    const written = await store.write(key, releasing(body), { ...writeOptions(options), onReadBack: report })
    if (written.size !== stored.size) {
      throw new CofferError('STORE_UNREACHABLE', `the store holds ${written.size} of ${stored.size} bytes of ${key}`)
    }
  } catch (error) {
    // A stream that nobody began to read is not ended by its iterator, one that stalls only by this.
    if (options.source instanceof Readable) options.source.destroy()
    await settledWithin(
      CLOSE_GRACE_MS,
      body.return().then(() => source.return?.()),
    )
    throw error
  }
  const record: ArtifactRecord = {
    kind,
    key,
    plain_size: plain.size,
    plain_sha256: plain.sha256(),
    stored_size: stored.size,
    stored_sha256: stored.sha256(),
    encodings: age === null ? ['zstd'] : ['zstd', 'age'],
  }
  return { record, reopen: (signal) => reopen(store, record, age, signal) }
}

/** Waits for a clean-up and ignores how it ends: why it was needed is what the caller must hear of. */
function settledWithin(graceMs: number, cleanUp: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, graceMs)
    void cleanUp
      .catch(() => undefined)
      .finally(() => {
        clearTimeout(timer)
        resolve()
      })
  })
}

function reopen(
  store: Pick<Store, 'read'>,
  record: ArtifactRecord,
  age: AgeHeader | null,
  signal: AbortSignal | undefined,
) {
  return decodeArtifact({ store, record, ...(signal && { signal }) }, (header) => {
    if (age?.header.equals(header)) return age.fileKey
    throw new CofferError('ARTIFACT_CORRUPT', `the age header of ${record.key} is not the one that was written`)
  })
}

function writeOptions({ signal, expectedSize, storageClass }: WriteArtifactOptions): WriteOptions {
  return {
    contentType: 'application/octet-stream',
    ...(signal && { signal }),
    ...(expectedSize !== undefined && { expectedSize }),
    ...(storageClass !== undefined && { storageClass }),
  }
}
