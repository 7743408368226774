import { hash } from 'node:crypto'
import { constants, type BigIntStats } from 'node:fs'
import type { FileEntry, FileType } from '../domain/file-list.ts'
import { fromBuffer, type Bytes } from './bytes.ts'
import type { Folder } from './folder.ts'
import { isSameContent, LargeFile } from './large-file.ts'
import type { MemberHeader } from './pax-encoder.ts'
import { close, errnoOf, fstat, lstat, open, readFully, readlink, throwIfExhausted } from './system-calls.ts'

/** Files up to this size are read whole, ahead of their turn; larger ones stream when it comes. */
export const SMALL_FILE_BYTES = 128 * 1024

export const READ_FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

export type Flag = NonNullable<FileEntry['flag']>

/** What became of one directory entry. `inode` is given where the file has other names. */
export type Member =
  | { kind: 'bare'; header: MemberHeader }
  | { kind: 'small'; header: MemberHeader; content: Buffer; sha256: string; changed: boolean; inode?: Inode }
  | { kind: 'large'; header: MemberHeader; file: LargeFile; inode?: Inode }
  | { kind: 'absent'; path: Bytes; type: FileType; flag: Flag; reason: string; stats?: BigIntStats }

export interface Inode {
  id: string
  names: number
  /** Another one: other content, or another file that got the same id. */
  version: string
}

/** A file that must be opened when its turn comes, or a member that is complete. */
export type Ahead = Member | { kind: 'later' }

// It was one thing when looked at and another when opened or read: look again.
const REPLACED = new Set(['ELOOP', 'EINVAL', 'ENXIO'])

/** Reads an entry that is no folder, but only looks at a large file. */
export async function readAhead(parent: Folder, name: Bytes, path: Bytes, looks = 3): Promise<Ahead> {
  try {
    const stats = await lstat(parent.at(name))
    if (stats.isFile()) {
      return stats.size > SMALL_FILE_BYTES ? { kind: 'later' } : await readSmall(parent.at(name), path, stats)
    }
    if (stats.isSymbolicLink()) {
      const target = await readlink(parent.at(name))
      return { kind: 'bare', header: { ...headerOf(path, 'symlink', stats), size: 0, link: fromBuffer(target) } }
    }
    return notArchived(path, stats)
  } catch (error) {
    if (!REPLACED.has(errnoOf(error))) return failed(path, 'file', error)
    return looks > 1 ? readAhead(parent, name, path, looks - 1) : replaced(path)
  }
}

/** Opens a large file; the caller drains or closes it. */
export async function openLarge(parent: Folder, name: Bytes, path: Bytes): Promise<Member> {
  let fd: number | undefined
  try {
    fd = await open(parent.at(name), READ_FILE)
    const stats = fstat(fd)
    if (stats.isFile()) {
      const file = new LargeFile(fd, stats)
      fd = undefined
      return { kind: 'large', header: headerOf(path, 'file', stats), file, ...inodeOf(stats) }
    }
    return notArchived(path, stats)
  } catch (error) {
    if (!REPLACED.has(errnoOf(error))) return failed(path, 'file', error)
    const again = await readAhead(parent, name, path)
    return again.kind === 'later' ? replaced(path) : again
  } finally {
    if (fd !== undefined) close(fd)
  }
}

export function headerOf(path: Bytes, type: MemberHeader['type'], stats: BigIntStats): MemberHeader {
  return {
    path,
    type,
    size: type === 'file' ? Number(stats.size) : 0,
    mode: Number(stats.mode & 0o7777n),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    mtimeNs: stats.mtimeNs,
  }
}

export function failed(path: Bytes, type: FileType, error: unknown): Member {
  throwIfExhausted(error)
  const errno = errnoOf(error)
  if (errno === '') throw error
  if (errno === 'ENOENT') return { kind: 'absent', path, type, flag: 'vanished', reason: 'removed meanwhile' }
  return { kind: 'absent', path, type, flag: 'unreadable', reason: errno }
}

async function readSmall(address: Buffer, path: Bytes, before: BigIntStats): Promise<Member> {
  const fd = await open(address, READ_FILE)
  try {
    // One byte more than the size shows whether the file has grown.
    const buffer = Buffer.allocUnsafe(Number(before.size) + 1)
    const filled = await readFully(fd, buffer)
    const after = fstat(fd)
    if (!after.isFile()) return notArchived(path, after)
    const content = buffer.subarray(0, Math.min(filled, Number(before.size)))
    return {
      kind: 'small',
      header: { ...headerOf(path, 'file', after), size: content.length },
      content,
      sha256: hash('sha256', content, 'hex'),
      changed: filled !== Number(before.size) || !isSameContent(before, after),
      ...inodeOf(after),
    }
  } finally {
    close(fd)
  }
}

function replaced(path: Bytes): Member {
  return { kind: 'absent', path, type: 'file', flag: 'vanished', reason: 'replaced again and again meanwhile' }
}

function inodeOf(stats: BigIntStats): { inode?: Inode } {
  if (stats.nlink <= 1n) return {}
  const version = `${stats.size} ${stats.mtimeNs} ${stats.birthtimeNs}`
  return { inode: { id: `${stats.dev}:${stats.ino}`, names: Number(stats.nlink), version } }
}

function notArchived(path: Bytes, stats: BigIntStats): Member {
  if (stats.isDirectory()) {
    return {
      kind: 'absent',
      path,
      type: 'directory',
      flag: 'vanished',
      reason: 'replaced by a folder meanwhile',
      stats,
    }
  }
  const type = stats.isFIFO() ? 'fifo' : stats.isSocket() ? 'socket' : stats.isBlockDevice() ? 'block' : 'char'
  return { kind: 'absent', path, type, flag: 'skipped', reason: `a ${type} holds no content to back up`, stats }
}
