import { chmod, lstat, rmdir, unlink } from 'node:fs/promises'
import { CofferError } from '../errors.ts'
import { fromText, quoted, toBuffer, type Bytes } from './bytes.ts'
import { Folder } from './folder.ts'
import { mountsUnder } from './mounts.ts'
import { errnoOf } from './system-calls.ts'

/**
 * Removes a folder with everything in it, whatever its names, depth and modes; resolves also when it is gone already.
 * @throws CofferError RESTORE_FAILED, before anything is removed, when something is mounted in it: what lies there belongs elsewhere
 */
export async function removeTree(path: string): Promise<void> {
  const place = fromText(path)
  try {
    await lstat(toBuffer(place))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return
    throw error
  }
  const mounts = await mountsUnder(path)
  if (mounts[0] !== undefined)
    throw new CofferError('RESTORE_FAILED', `${path} can't be removed: ${quoted(mounts[0])} in it is a mount point`)
  const folder = await Folder.open(place)
  await empty(folder)
  await rmdir(toBuffer(place))
}

async function empty(folder: Folder): Promise<void> {
  try {
    for (const name of await folder.list()) {
      if (name.endsWith('/')) await removeFolder(folder, name.slice(0, -1))
      else await unlink(folder.at(name))
    }
  } finally {
    folder.close()
  }
}

async function removeFolder(parent: Folder, name: Bytes): Promise<void> {
  let folder: Folder
  try {
    folder = await parent.openFolder(name)
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error
    await chmod(parent.at(name), 0o700)
    folder = await parent.openFolder(name)
  }
  // Removing an entry needs the right to write to its folder.
  if ((folder.stats.mode & 0o700n) !== 0o700n) await chmod(parent.at(name), 0o700)
  await empty(folder)
  await rmdir(parent.at(name))
}
