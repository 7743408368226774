/**
 * The table that closes a file in the zstd seekable format: a skippable frame, so that every zstd decoder reads over it.
 * https://github.com/facebook/zstd/blob/dev/contrib/seekable_format/zstd_seekable_compression_format.md
 */
export const SEEK_TABLE_MAGIC = 0x184d2a5e
const FOOTER_MAGIC = 0x8f92eab1
const HEADER_BYTES = 8
const ENTRY_BYTES = 8
const FOOTER_BYTES = 9

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
