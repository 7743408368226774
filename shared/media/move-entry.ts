import { constants } from 'node:fs'
import { chmod, errnoOf, lstat, rename } from './system-calls.ts'

const WRITABLE = constants.S_IRWXU

/** The mode that a folder must get back after it was moved: moving one writes to it ('..'), which its mode may forbid. */
export async function modeToWiden(address: Buffer): Promise<number | undefined> {
  const stats = await lstatOrNull(address)
  if (!stats?.isDirectory()) return undefined
  const mode = Number(stats.mode & 0o7777n)
  return (mode & WRITABLE) === WRITABLE ? undefined : mode
}

export const widen = (address: Buffer, mode: number): Promise<void> => chmod(address, mode | WRITABLE)

/** Of a folder; anything else that lies there is left alone, and so is what a symlink leads to. */
export async function giveBackMode(address: Buffer, mode: number): Promise<void> {
  const stats = await lstatOrNull(address)
  if (stats?.isDirectory()) await chmod(address, mode)
}

export const isEntry = async (address: Buffer): Promise<boolean> => (await lstatOrNull(address)) !== null

/** Moves an entry and returns true; false where something lies in the way that a rename doesn't replace. */
export async function moveOnto(from: Buffer, to: Buffer): Promise<boolean> {
  try {
    await rename(from, to)
    return true
  } catch (error) {
    if (['ENOTEMPTY', 'EEXIST', 'EISDIR', 'ENOTDIR'].includes(errnoOf(error))) return false
    throw error
  }
}

async function lstatOrNull(address: Buffer) {
  try {
    return await lstat(address)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
}
