import { CofferError } from '../errors.ts'

/**
 * The table that closes a file in the zstd seekable format: a skippable frame, so that every zstd decoder reads over it.
 * https://github.com/facebook/zstd/blob/dev/contrib/seekable_format/zstd_seekable_compression_format.md
 */
export const SEEK_TABLE_MAGIC = 0x184d2a5e
const FOOTER_MAGIC = 0x8f92eab1
const HEADER_BYTES = 8
const ENTRY_BYTES = 8
export const FOOTER_BYTES = 9
export const MAX_FRAME_PLAIN_BYTES = 4 * 1024 * 1024
/** A file whose frames are smaller on average is not ours; it keeps a table that lies from taking memory. */
const LEAST_MEAN_FRAME_BYTES = 64 * 1024

export interface FrameSize {
  compressed: number
  plain: number
}

/** The whole skippable frame, without checksums of its own: every data frame carries one. */
export function encodeSeekTable(frames: readonly FrameSize[]): Buffer {
  const table = Buffer.alloc(HEADER_BYTES + frames.length * ENTRY_BYTES + FOOTER_BYTES)
  table.writeUInt32LE(SEEK_TABLE_MAGIC, 0)
  table.writeUInt32LE(table.length - HEADER_BYTES, 4)
  let at = HEADER_BYTES
  for (const { compressed, plain } of frames) {
    at = table.writeUInt32LE(compressed, at)
    at = table.writeUInt32LE(plain, at)
  }
  at = table.writeUInt32LE(frames.length, at)
  at = table.writeUInt8(0, at)
  table.writeUInt32LE(FOOTER_MAGIC, at)
  return table
}

/** Where the frames of a seekable file lie: frame `i` from `compressed[i]` to `compressed[i + 1]`, and its plain bytes likewise. */
export interface FrameMap {
  compressed: Float64Array
  plain: Float64Array
}

/**
 * The size of the whole table, by the file's last bytes.
 * @param plainSize of the whole, as it was recorded: bounds the answer
 * @throws ARTIFACT_CORRUPT
 */
export function seekTableSize(footer: Buffer, plainSize: number): number {
  const count = footer.readUInt32LE(0)
  const isFooter = footer.readUInt32LE(5) === FOOTER_MAGIC && footer.readUInt8(4) === 0
  if (!isFooter) throw corruptTable('it does not end like one')
  if (count > plainSize / LEAST_MEAN_FRAME_BYTES + 1) throw corruptTable(`it claims ${count} frames`)
  return HEADER_BYTES + count * ENTRY_BYTES + FOOTER_BYTES
}

/**
 * Believes a table only if its frames, one after the other, fill exactly what lies before it and hold exactly what was recorded.
 * @throws ARTIFACT_CORRUPT
 */
export function decodeSeekTable(table: Buffer, compressedSize: number, plainSize: number): FrameMap {
  const count = (table.length - HEADER_BYTES - FOOTER_BYTES) / ENTRY_BYTES
  if (table.readUInt32LE(0) !== SEEK_TABLE_MAGIC || table.readUInt32LE(4) !== table.length - HEADER_BYTES)
    throw corruptTable('it does not begin like one')
  const map = { compressed: new Float64Array(count + 1), plain: new Float64Array(count + 1) }
  for (let index = 0; index < count; index++) {
    const at = HEADER_BYTES + index * ENTRY_BYTES
    const plain = table.readUInt32LE(at + 4)
    if (plain > MAX_FRAME_PLAIN_BYTES) throw corruptTable(`frame ${index} claims ${plain} bytes`)
    map.compressed[index + 1] = (map.compressed[index] ?? 0) + table.readUInt32LE(at)
    map.plain[index + 1] = (map.plain[index] ?? 0) + plain
  }
  if (map.compressed[count] !== compressedSize) throw corruptTable('its frames do not fill the file')
  if (map.plain[count] !== plainSize) throw corruptTable(`its frames do not hold the ${plainSize} bytes recorded`)
  return map
}

function corruptTable(why: string): CofferError {
  return new CofferError('ARTIFACT_CORRUPT', `the zstd seek table is damaged: ${why}`)
}
