import { isUtf8 } from 'node:buffer'

/** A file name or path as the kernel has it, one character per byte (latin1): never lossy, and in bytewise order as a string. */
export type Bytes = string

export const toBuffer = (bytes: Bytes): Buffer => Buffer.from(bytes, 'latin1')
export const fromBuffer = (buffer: Buffer): Bytes => buffer.toString('latin1')
export const fromText = (text: string): Bytes => fromBuffer(Buffer.from(text, 'utf8'))

const ASCII = /^[\x00-\x7f]*$/
export const isAscii = (bytes: Bytes): boolean => ASCII.test(bytes)

/** The same bytes as text; null when they are not UTF-8. */
export function toText(bytes: Bytes): string | null {
  if (isAscii(bytes)) return bytes
  const buffer = toBuffer(bytes)
  return isUtf8(buffer) ? buffer.toString('utf8') : null
}

/** For messages: quoted, control characters escaped, bytes that are not UTF-8 replaced. */
export const quoted = (bytes: Bytes): string => JSON.stringify(toBuffer(bytes).toString('utf8'))
