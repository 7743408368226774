import type { ArtifactRecord } from '../domain/artifact.ts'
import { CofferError } from '../errors.ts'
import type { Store } from '../storage/store.ts'
import { openAgeHeader } from './age-header.ts'
import { openAgeRanges, type Ranged } from './age-ranges.ts'
import { ByteReader } from './byte-reader.ts'
import { asBuffer, mapInOrder } from './chunks.ts'
import { verifyStored, type ReadArtifactOptions } from './read-artifact.ts'
import { decodeSeekTable, FOOTER_BYTES, seekTableSize, type FrameMap } from './seekable.ts'
import { decompressFrame, FRAMES_IN_FLIGHT } from './zstd-frames.ts'
import { takeFrame, type StoredFrame } from './zstd-reader.ts'

export interface RangeOptions extends Omit<ReadArtifactOptions, 'store' | 'onProgress'> {
  store: Pick<Store, 'read' | 'head'>
}

/** An artifact of which single stretches are read; see `openRanges`. */
export interface ArtifactRanges {
  /** Exactly the plain bytes [start, start + length). To be read one after the other. */
  read(start: number, length: number): AsyncGenerator<Buffer, void, void>
}

/**
 * Opens an artifact for ranged reads: of the store only its header, the seek table at its end, and the age chunks under the zstd frames that
 * a range touches are read. Every chunk is authentic and every frame proven by its checksum before a byte of it is yielded, but nothing is
 * said about the rest: what was read must be held against a SHA-256 of its own.
 *
 * @throws ARTIFACT_CORRUPT (also for a file without a seek table, or with one that lies), STORE_UNREACHABLE, OBJECT_NOT_FOUND, KEY_MISSING,
 * KEY_WRONG
 */
export async function openRanges(options: RangeOptions): Promise<ArtifactRanges> {
  const { record } = options
  if (record.encodings[0] !== 'zstd' || record.encodings.length > 2)
    throw new CofferError('ARTIFACT_CORRUPT', `${record.key} is not compressed and can't be read in ranges`)
  const stored = await openStored(options)
  const inner = record.encodings.includes('age') ? await openAge(stored, options) : stored
  const frames = await readFrameMap(inner, record)
  return new FrameRanges(inner, frames, record)
}

/** Decompresses the frames under each range; the last one is kept, because small files lie in it one behind the other. */
class FrameRanges implements ArtifactRanges {
  readonly #inner: Ranged
  readonly #frames: FrameMap
  readonly #record: ArtifactRecord
  #kept: { index: number; plain: Buffer } | null = null

  constructor(inner: Ranged, frames: FrameMap, record: ArtifactRecord) {
    this.#inner = inner
    this.#frames = frames
    this.#record = record
  }

  async *read(start: number, length: number): AsyncGenerator<Buffer, void, void> {
    const end = start + length
    const isWithin = Number.isSafeInteger(start) && Number.isSafeInteger(length) && start >= 0 && length >= 0
    if (!isWithin || end > this.#record.plain_size)
      throw new CofferError('ARTIFACT_CORRUPT', `${this.#record.key} has no bytes ${start} to ${end}`)
    if (length === 0) return
    let index = this.#frameOf(start)
    const last = this.#frameOf(end - 1)
    const kept = this.#kept
    if (kept?.index === index) yield this.#cut(index++, kept.plain, start, end)
    if (index > last) return
    for await (const plain of mapInOrder(this.#stored(index, last), FRAMES_IN_FLIGHT, decompressFrame)) {
      this.#kept = { index, plain }
      yield this.#cut(index++, plain, start, end)
    }
  }

  async *#stored(first: number, last: number): AsyncGenerator<StoredFrame, void, void> {
    const { compressed, plain } = this.#frames
    const reader = new ByteReader(this.#inner.read(compressed[first] ?? 0, compressed[last + 1] ?? 0))
    try {
      for (let index = first; index <= last; index++) {
        yield await takeFrame(reader, {
          compressed: (compressed[index + 1] ?? 0) - (compressed[index] ?? 0),
          plain: (plain[index + 1] ?? 0) - (plain[index] ?? 0),
        })
      }
    } finally {
      await reader.close()
    }
  }

  #cut(index: number, plain: Buffer, start: number, end: number): Buffer {
    const at = this.#frames.plain[index] ?? 0
    return plain.subarray(Math.max(0, start - at), Math.min(plain.length, end - at))
  }

  /** The last frame that begins at or before the position; an empty one before it begins there too, and is passed over. */
  #frameOf(position: number): number {
    const { plain } = this.#frames
    let low = 0
    let high = plain.length - 2
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((plain[middle] ?? 0) <= position) low = middle
      else high = middle - 1
    }
    return low
  }
}

/** The object must have the size that was recorded: what lies at its end says what lies elsewhere. */
async function openStored({ store, record, signal }: RangeOptions): Promise<Ranged> {
  const info = await store.head(record.key)
  if (info === null) throw new CofferError('OBJECT_NOT_FOUND', `there is no object ${record.key}`)
  if (info.size !== record.stored_size) {
    const message = `${record.key} has ${info.size} stored bytes, recorded were ${record.stored_size}`
    throw new CofferError('ARTIFACT_CORRUPT', message)
  }
  async function* read(start: number, end: number): AsyncGenerator<Buffer, void, void> {
    try {
      const object = await store.read(record.key, { start, end: end - 1, ...(signal && { signal }) })
      for await (const chunk of object) yield asBuffer(chunk as Uint8Array)
    } catch (error) {
      signal?.throwIfAborted()
      throw error
    }
  }
  return { size: record.stored_size, read }
}

async function openAge(stored: Ranged, options: RangeOptions): Promise<Ranged> {
  const { record, identities } = options
  if (identities.length === 0)
    throw new CofferError('KEY_MISSING', `${record.key} is encrypted and no identity was given`)
  try {
    return await openAgeRanges(stored, record, (header) => openAgeHeader(header, identities))
  } catch (error) {
    // A damaged header looks like one for somebody else; only the whole object's digest tells.
    if (error instanceof CofferError && error.code === 'KEY_WRONG') await verifyStored(options)
    throw error
  }
}

async function readFrameMap(inner: Ranged, { key, plain_size: plainSize }: ArtifactRecord): Promise<FrameMap> {
  if (inner.size < FOOTER_BYTES) throw new CofferError('ARTIFACT_CORRUPT', `${key} has no zstd seek table`)
  const size = seekTableSize(await take(inner, inner.size - FOOTER_BYTES, inner.size), plainSize)
  if (size > inner.size)
    throw new CofferError('ARTIFACT_CORRUPT', `the zstd seek table of ${key} is longer than itself`)
  return decodeSeekTable(await take(inner, inner.size - size, inner.size), inner.size - size, plainSize)
}

async function take(inner: Ranged, start: number, end: number): Promise<Buffer> {
  const reader = new ByteReader(inner.read(start, end))
  try {
    return await reader.take(end - start)
  } finally {
    await reader.close()
  }
}
