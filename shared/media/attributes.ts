import type { Bytes } from './bytes.ts'
import type { Folder } from './folder.ts'
import { fchmod, fchown, futimes, lchown, lutimes } from './system-calls.ts'

export interface Attributes {
  mode: number
  uid: number
  gid: number
  mtimeNs: bigint
}

const SETUID_SETGID = 0o6000

/** Only root may give files away; others keep what they restore. */
export const restoresOwners = (): boolean => process.getuid?.() === 0

/**
 * Of an open regular file. Setuid and setgid are not restored: media need neither, and a planted archive could bring a program with them.
 */
export function applyToFile(fd: number, attributes: Attributes): void {
  applyToOpen(fd, { ...attributes, mode: attributes.mode & ~SETUID_SETGID })
}

/** Of an open folder, where setgid only hands its group down and is restored. */
export const applyToFolder = (folder: Folder, attributes: Attributes): void => applyToOpen(folder.fd, attributes)

export async function applyToSymlink(parent: Folder, name: Bytes, attributes: Attributes): Promise<void> {
  if (restoresOwners()) await lchown(parent.at(name), attributes.uid, attributes.gid)
  const mtime = secondsOf(attributes.mtimeNs)
  await lutimes(parent.at(name), mtime, mtime)
}

export const hasDroppedBits = (mode: number): boolean => (mode & SETUID_SETGID) !== 0

// The owner first: changing it clears bits of the mode.
function applyToOpen(fd: number, attributes: Attributes): void {
  if (restoresOwners()) fchown(fd, attributes.uid, attributes.gid)
  fchmod(fd, attributes.mode)
  const mtime = secondsOf(attributes.mtimeNs)
  futimes(fd, mtime, mtime)
}

/**
 * Node hands times to the kernel as doubles, so a present-day time is exact to 0.25 µs. As text, because Node takes a negative number for now.
 */
function secondsOf(ns: bigint): string {
  const digits = String(ns < 0n ? -ns : ns).padStart(10, '0')
  return `${ns < 0n ? '-' : ''}${digits.slice(0, -9)}.${digits.slice(-9)}`
}
