import { CofferError } from '../errors.ts'

/** Longest part of a key: leaves room for what a temporary name adds within the 255 bytes of a file system. */
const LONGEST_SEGMENT = 200
const PENDING = /^\.(.+)\.([0-9a-f]{32})\.pending$/

/** The name that a file has while it is written; never a valid part of a key. */
export const pendingName = (name: string, uploadId: string) => `.${name}.${uploadId}.pending`

export function parsePendingName(fileName: string): { name: string; uploadId: string } | null {
  const match = PENDING.exec(fileName)
  return match ? { name: match[1] ?? '', uploadId: match[2] ?? '' } : null
}

/** Keys may come from a planted manifest: nothing may lead out of the store or to another object's temporary file. */
export function assertKey(key: string): void {
  if (key !== '' && key.split('/').every(isSegment)) return
  throw new CofferError('STORE_REFUSED', `${JSON.stringify(key)} is not a key: empty, dotted or overlong parts`)
}

/** The same for the beginning of a key, which may end anywhere. */
export function assertPrefix(prefix: string): void {
  const parts = prefix.split('/')
  const last = parts.pop() ?? ''
  if (parts.every(isSegment) && last !== '..' && isPlain(last)) return
  throw new CofferError('STORE_REFUSED', `${JSON.stringify(prefix)} is not the beginning of a key`)
}

function isSegment(segment: string): boolean {
  return segment !== '' && segment !== '.' && segment !== '..' && isPlain(segment) && parsePendingName(segment) === null
}

function isPlain(segment: string): boolean {
  return (
    !/[\u0000-\u001f\u007f\\]/.test(segment) && Buffer.byteLength(segment) <= LONGEST_SEGMENT && segment.isWellFormed()
  )
}
