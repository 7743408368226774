import { promisify } from 'node:util'
import { constants, zstdCompress, zstdDecompress } from 'node:zlib'
import { CofferError } from '../errors.ts'
import { ROOM_TO_SPARE } from '../release.ts'
import { inChunks, mapInOrder, type Chunk } from './chunks.ts'
import { encodeSeekTable, type FrameSize } from './seekable.ts'
import { readFrames, type StoredFrame } from './zstd-reader.ts'

const FRAME_PLAIN_BYTES = 2 * 1024 * 1024
/** Each holds its plain bytes, its compressed bytes and a zstd context, about 10 MiB. */
export const FRAMES_IN_FLIGHT = 4
const LEVEL = 3
/** Output is gathered in pieces of this size: small ones cost a round trip to the thread pool each, large ones memory. */
const OUTPUT_BYTES = 256 * 1024

const compress = promisify(zstdCompress)
const decompress = promisify(zstdDecompress)

/**
 * Compresses into independent zstd frames of 2 MiB plain bytes with content size and checksum, in parallel on the thread
 * pool, closed by the seek table.
 */
export async function* compressFrames(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer, void, void> {
  const sizes: FrameSize[] = []
  const spare: Buffer[] = []
  const chunks = inChunks(source, FRAME_PLAIN_BYTES, spare)
  const compressChunk = async ({ bytes, isLast }: Chunk) => {
    const frame = await compressFrame(bytes)
    if (!isLast) spare.push(bytes)
    return frame
  }
  for await (const frame of mapInOrder(chunks, FRAMES_IN_FLIGHT, compressChunk)) {
    sizes.push({ compressed: frame.bytes.length, plain: frame.plainSize })
    yield frame.bytes
  }
  yield encodeSeekTable(sizes)
}

/**
 * The inverse, which releases the source's chunks. Every frame is proven by its checksum when it is yielded; the seek table must be
 * the very end.
 *
 * @param maxBytes of output; frames that announce more are refused before they are decompressed
 * @throws ARTIFACT_CORRUPT
 */
export async function* decompressFrames(
  source: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<Buffer, void, void> {
  const spare: Buffer[] = []
  const open = async (frame: StoredFrame) => {
    const plain = await decompressFrame(frame)
    spare.push(Buffer.from(frame.bytes.buffer))
    return plain
  }
  yield* mapInOrder(readFrames(source, maxBytes, spare), FRAMES_IN_FLIGHT, open)
}

async function compressFrame(plain: Buffer): Promise<StoredFrame> {
  const bytes = await compress(plain, {
    chunkSize: OUTPUT_BYTES,
    pledgedSrcSize: plain.length,
    params: {
      [constants.ZSTD_c_compressionLevel]: LEVEL,
      [constants.ZSTD_c_checksumFlag]: 1,
      [constants.ZSTD_c_contentSizeFlag]: 1,
    },
  })
  return { bytes, plainSize: plain.length }
}

/** @throws ARTIFACT_CORRUPT, also where it holds another number of bytes than it announces */
export async function decompressFrame({ bytes, plainSize }: StoredFrame): Promise<Buffer> {
  let plain: Buffer
  try {
    // A buffer that is filled to its last byte has Node ask for more, with another buffer and another round trip to the thread pool.
    plain = await decompress(bytes, { chunkSize: plainSize + ROOM_TO_SPARE, maxOutputLength: Math.max(plainSize, 1) })
  } catch (cause) {
    throw new CofferError('ARTIFACT_CORRUPT', `a zstd frame is damaged: ${(cause as Error).message}`, { cause })
  }
  if (plain.length === plainSize) return plain
  throw new CofferError('ARTIFACT_CORRUPT', `a zstd frame holds ${plain.length} bytes where it announces ${plainSize}`)
}
