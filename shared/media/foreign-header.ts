import { octal, readUstar, requireChecksum, text, type Invalid, type UstarHeader } from './ustar-header.ts'

/**
 * Reads a header block of any tar in use: POSIX, GNU (whose prefix field holds times, and whose large numbers are binary), or older than
 * both. Its checksum must be right.
 */
export function readForeignHeader(block: Buffer, invalid: Invalid): UstarHeader {
  const magic = block.toString('latin1', 257, 263)
  if (magic === 'ustar\0' && !hasBinaryNumber(block)) return readUstar(block, invalid)
  if (magic !== 'ustar\0' && magic !== 'ustar ' && magic !== '\0'.repeat(6)) throw invalid('it has no header of tar')
  requireChecksum(block, invalid)
  const prefix = magic === 'ustar\0' ? text(block, 345, 155) : Buffer.alloc(0)
  const name = text(block, 0, 100)
  const flag = block.toString('latin1', 156, 157)
  return {
    // Before POSIX, a folder was a file whose name ends with a slash.
    flag: (flag === '\0' || flag === '0') && name.at(-1) === 0x2f ? '5' : flag === '7' ? '0' : flag,
    path: prefix.length > 0 ? Buffer.concat([prefix, Buffer.from('/'), name]) : name,
    link: text(block, 157, 100),
    mode: number(block, 100, 8, invalid),
    uid: number(block, 108, 8, invalid),
    gid: number(block, 116, 8, invalid),
    size: number(block, 124, 12, invalid),
    mtimeNs: BigInt(signed(block, 136, 12, invalid)) * 1_000_000_000n,
  }
}

const NUMBERS = [100, 108, 116, 124, 136]

const hasBinaryNumber = (block: Buffer): boolean => NUMBERS.some((offset) => (block.readUInt8(offset) & 0x80) !== 0)

function number(block: Buffer, offset: number, width: number, invalid: Invalid): number {
  const value = signed(block, offset, width, invalid)
  if (value < 0) throw invalid(`a header has the number ${value}`)
  return value
}

/** Octal digits, or where the first bit is set, the number itself, largest byte first (GNU's base-256). */
function signed(block: Buffer, offset: number, width: number, invalid: Invalid): number {
  if ((block.readUInt8(offset) & 0x80) === 0) return octal(block, offset, width, invalid)
  const isNegative = block.readUInt8(offset) === 0xff
  let value = isNegative ? -1n : 0n
  for (let at = offset; at < offset + width; at++) {
    const byte = at === offset && !isNegative ? block.readUInt8(at) & 0x7f : block.readUInt8(at)
    value = (value << 8n) | BigInt(byte)
  }
  if (value > Number.MAX_SAFE_INTEGER || value < Number.MIN_SAFE_INTEGER)
    throw invalid('a number in a header is too large')
  return Number(value)
}
