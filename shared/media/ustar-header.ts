/** The fields of a 512-byte ustar header, before an extended header overrides them. */
export interface UstarHeader {
  flag: string
  path: Buffer
  link: Buffer
  size: number
  mode: number
  uid: number
  gid: number
  mtimeNs: bigint
}

export type Invalid = (what: string) => Error

/** Reads a header block whose checksum is right. */
export function readUstar(block: Buffer, invalid: Invalid): UstarHeader {
  if (block.toString('latin1', 257, 263) !== 'ustar\0') throw invalid('a header lacks the mark of ustar')
  requireChecksum(block, invalid)
  const prefix = text(block, 345, 155)
  const name = text(block, 0, 100)
  return {
    flag: block.toString('latin1', 156, 157),
    path: prefix.length > 0 ? Buffer.concat([prefix, Buffer.from('/'), name]) : name,
    link: text(block, 157, 100),
    mode: octal(block, 100, 8, invalid),
    uid: octal(block, 108, 8, invalid),
    gid: octal(block, 116, 8, invalid),
    size: octal(block, 124, 12, invalid),
    mtimeNs: BigInt(octal(block, 136, 12, invalid)) * 1_000_000_000n,
  }
}

export function requireChecksum(block: Buffer, invalid: Invalid): void {
  let sum = 8 * 0x20
  for (let index = 0; index < block.length; index++) {
    if (index < 148 || index >= 156) sum += block[index] ?? 0
  }
  if (octal(block, 148, 8, invalid) !== sum) throw invalid('the checksum of a header is wrong')
}

/** A copy, because it outlives the chunk that it came in. */
export function text(block: Buffer, offset: number, width: number): Buffer {
  const end = block.indexOf(0, offset)
  return Buffer.from(block.subarray(offset, end === -1 ? offset + width : Math.min(end, offset + width)))
}

export function octal(block: Buffer, offset: number, width: number, invalid: Invalid): number {
  const digits = block
    .toString('latin1', offset, offset + width)
    .replace(/[\0 ]+$/, '')
    .trimStart()
  if (!/^[0-7]*$/.test(digits)) throw invalid(`a header has ${JSON.stringify(digits)} where an octal number belongs`)
  return Number.parseInt(digits || '0', 8)
}
