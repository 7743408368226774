import { CofferError } from '../errors.ts'
import { ByteReader } from './byte-reader.ts'
import { encodeSeekTable, MAX_FRAME_PLAIN_BYTES, SEEK_TABLE_MAGIC, type FrameSize } from './seekable.ts'

const FRAME_MAGIC = 0xfd2fb528
const MAX_BLOCK_BYTES = 128 * 1024
const BLOCK_HEADER_BYTES = 3
const CHECKSUM_BYTES = 4
const RLE_BLOCK = 1
const RESERVED_BLOCK = 3

/** One whole zstd frame and the plain size that its header announces. Of those read here, `bytes` has its memory to itself. */
export interface StoredFrame {
  bytes: Buffer
  plainSize: number
}

/**
 * Cuts a seekable zstd file into its frames by their block headers (RFC 8878) and checks that the seek table agrees with
 * them and is the very end. Nothing is decompressed here. Memory of frames that the consumer is done with may go into `spare`.
 * The source's chunks are released.
 *
 * @throws ARTIFACT_CORRUPT, also when the frames announce more than `maxBytes`
 */
export async function* readFrames(
  source: AsyncIterable<Uint8Array>,
  maxBytes: number,
  spare: Buffer[] = [],
): AsyncGenerator<StoredFrame, void, void> {
  const reader = new ByteReader(source)
  const sizes: FrameSize[] = []
  let announced = 0
  try {
    for (;;) {
      const magic = await reader.take(4)
      if (magic.readUInt32LE() === SEEK_TABLE_MAGIC) {
        await checkSeekTable(reader, magic, sizes)
        return
      }
      if (magic.readUInt32LE() !== FRAME_MAGIC) throw corrupt(`neither a frame nor the seek table follows`, sizes)
      const frame = await readFrame(reader, magic, sizes, spare)
      announced += frame.plainSize
      if (announced > maxBytes) throw corrupt(`it announces more than the ${maxBytes} bytes that were recorded`, sizes)
      sizes.push({ compressed: frame.bytes.length, plain: frame.plainSize })
      yield frame
    }
  } finally {
    await reader.close()
  }
}

/** The next frame, which must be the one that the seek table announces. @throws ARTIFACT_CORRUPT */
export async function takeFrame(reader: ByteReader, announced: FrameSize): Promise<StoredFrame> {
  const magic = await reader.take(4)
  if (magic.readUInt32LE() !== FRAME_MAGIC) throw corrupt('no frame lies where the seek table says', [])
  const frame = await readFrame(reader, magic, [])
  if (frame.bytes.length !== announced.compressed || frame.plainSize !== announced.plain)
    throw corrupt('a frame is not as the seek table says', [])
  return frame
}

async function checkSeekTable(reader: ByteReader, magic: Buffer, sizes: readonly FrameSize[]): Promise<void> {
  const expected = encodeSeekTable(sizes)
  const actual = Buffer.concat([magic, await reader.take(expected.length - magic.length)])
  if (!actual.equals(expected)) throw corrupt('the seek table differs from the frames', sizes)
  if (!(await reader.isAtEnd())) throw corrupt('data follows the seek table', sizes)
}

async function readFrame(
  reader: ByteReader,
  magic: Buffer,
  sizes: readonly FrameSize[],
  spare: Buffer[] = [],
): Promise<StoredFrame> {
  const { parts, plainSize } = await readFrameHeader(reader, sizes)
  if (plainSize > MAX_FRAME_PLAIN_BYTES) throw corrupt(`a frame announces ${plainSize} bytes`, sizes)
  const header = Buffer.concat([magic, ...parts])
  // What can't be compressed is stored as it is, so that blocks with their headers hardly exceed the plain bytes.
  const blocksEnd = header.length + plainSize + MAX_BLOCK_BYTES
  const frame = largeEnough(spare.pop(), blocksEnd + CHECKSUM_BYTES)
  let end = header.copy(frame)
  for (let isLast = false; !isLast;) {
    if (end + BLOCK_HEADER_BYTES > blocksEnd) throw corrupt('a block header is damaged', sizes)
    end = await reader.takeInto(frame, end, BLOCK_HEADER_BYTES)
    const bits = frame.readUIntLE(end - BLOCK_HEADER_BYTES, BLOCK_HEADER_BYTES)
    isLast = (bits & 1) === 1
    const type = (bits >> 1) & 3
    const size = type === RLE_BLOCK ? 1 : bits >> 3
    if (type === RESERVED_BLOCK || size > MAX_BLOCK_BYTES || end + size > blocksEnd) {
      throw corrupt('a block header is damaged', sizes)
    }
    end = await reader.takeInto(frame, end, size)
  }
  end = await reader.takeInto(frame, end, CHECKSUM_BYTES)
  return { bytes: frame.subarray(0, end), plainSize }
}

const largeEnough = (spare: Buffer | undefined, size: number): Buffer =>
  spare && spare.length >= size ? spare : Buffer.allocUnsafeSlow(size)

/** Frames without content size or checksum, or with a dictionary, are not ours. */
async function readFrameHeader(
  reader: ByteReader,
  sizes: readonly FrameSize[],
): Promise<{ parts: Buffer[]; plainSize: number }> {
  const descriptor = await reader.take(1)
  const bits = descriptor.readUInt8()
  const isSingleSegment = (bits & 0x20) !== 0
  const sizeFlag = bits >> 6
  const hasChecksum = (bits & 0x04) !== 0
  if ((bits & 0x1b) !== 0 || !hasChecksum || (sizeFlag === 0 && !isSingleSegment)) {
    throw corrupt('a frame header is damaged', sizes)
  }
  const window = await reader.take(isSingleSegment ? 0 : 1)
  const contentSize = await reader.take([1, 2, 4, 8][sizeFlag] ?? 1)
  const plainSize =
    sizeFlag === 3 ? Number(contentSize.readBigUInt64LE()) : contentSize.readUIntLE(0, contentSize.length)
  return { parts: [descriptor, window, contentSize], plainSize: sizeFlag === 1 ? plainSize + 256 : plainSize }
}

function corrupt(what: string, sizes: readonly FrameSize[]): CofferError {
  return new CofferError('ARTIFACT_CORRUPT', `zstd data is damaged after ${sizes.length} frames: ${what}`)
}
