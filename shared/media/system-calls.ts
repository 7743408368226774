import fs, { closeSync, fchmodSync, fchownSync, fstatSync, futimesSync, type BigIntStats } from 'node:fs'
import { promisify } from 'node:util'
import { CofferError } from '../errors.ts'

// Promises over numeric descriptors: on a tree of small files a FileHandle per file costs more than the reading.
export const open = promisify(fs.open)
export const link = promisify(fs.link)
export const symlink = promisify(fs.symlink)
export const lchown = promisify(fs.lchown)
export const lutimes = promisify(fs.lutimes)
export const unlink = promisify(fs.unlink)
export const rmdir = promisify(fs.rmdir)
export const mkdir = promisify(fs.mkdir)
export const rename = promisify(fs.rename)
export const chmod = promisify(fs.chmod)
export const fsync = promisify(fs.fsync)
const readOnce = promisify(fs.read)
const writeOnce = promisify(fs.write)
const lstatCall = promisify(fs.lstat)
const readlinkCall = promisify(fs.readlink)

export const lstat = (path: Buffer): Promise<BigIntStats> => lstatCall(path, { bigint: true })

// On an open file these are answered from memory, in a fraction of what the way through the thread pool costs.
export const fstat = (fd: number): BigIntStats => fstatSync(fd, { bigint: true })
export const close = closeSync
export const fchmod = fchmodSync
export const fchown = fchownSync
export const futimes = futimesSync

export const readlink = (path: Buffer): Promise<Buffer> => readlinkCall(path, { encoding: 'buffer' })

/** Fills the buffer from the current position; returns how much of it was filled, less than all only at the end of the file. */
export async function readFully(fd: number, buffer: Buffer): Promise<number> {
  let filled = 0
  while (filled < buffer.length) {
    const { bytesRead } = await readOnce(fd, buffer, filled, buffer.length - filled, null)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return filled
}

export async function writeFully(fd: number, buffer: Buffer): Promise<void> {
  let written = 0
  while (written < buffer.length) {
    const { bytesWritten } = await writeOnce(fd, buffer, written, buffer.length - written, null)
    written += bytesWritten
  }
}

/** The code of a failed system call; the empty string for anything else. */
export const errnoOf = (thrown: unknown): string =>
  thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : ''

const EXHAUSTED = new Set(['EMFILE', 'ENFILE', 'ENOMEM'])

/** Lack of descriptors or memory says nothing about the file at hand: it must end the run, not flag the file. */
export function throwIfExhausted(thrown: unknown): void {
  const errno = errnoOf(thrown)
  if (!EXHAUSTED.has(errno)) return
  throw new CofferError('MEDIA_UNREADABLE', `the worker ran out of resources while it read the folder (${errno})`, {
    cause: thrown,
  })
}
