import { mkdir, open, rmdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { onDisk, systemCode } from './file-errors.ts'

/** Makes what a rename, mkdir or unlink did in this folder survive a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  await onDisk('sync the folder', folder, async () => {
    const handle = await open(folder, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  })
}

/** Makes the folder and returns the folders to sync, innermost first, for it to be durable. */
export async function makeFolder(folder: string, root: string): Promise<string[]> {
  const firstMade = await onDisk('make the folder', folder, () => mkdir(folder, { recursive: true, mode: 0o700 }))
  // A rival writer may have made the folders up to the root and not synced them yet, so those are always among them.
  const outermost = firstMade !== undefined && root.startsWith(firstMade) ? dirname(firstMade) : root
  const folders = [folder]
  for (let each = folder; each !== outermost && each !== dirname(each);) {
    each = dirname(each)
    folders.push(each)
  }
  return folders
}

/** Removes the folder and the folders above it, up to and without the root, as long as they are empty. */
export async function removeEmptyFolders(folder: string, root: string): Promise<void> {
  for (let each = folder; each !== root && each.startsWith(`${root}/`); each = dirname(each)) {
    try {
      await rmdir(each)
    } catch (error) {
      const code = systemCode(error)
      if (code !== 'ENOENT' && code !== 'ENOTDIR') return
    }
  }
}
