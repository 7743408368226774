import { mkdir, open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CofferError } from '../errors.ts'
import { onDisk, onDiskIfThere, systemCode } from './file-errors.ts'
import { syncFolder } from './file-folders.ts'

/** Lies at the root of every store that is a folder. */
export const MARKER = '.coffer-store'

const TEXT =
  'This folder is a store of Coffer. Without this file Coffer takes it for another disk, and writes and reads nothing here.\n'

/** Makes the folder, if need be, and marks it. May run twice. */
export async function makeMarked(root: string): Promise<void> {
  await onDisk('make the folder', root, () => mkdir(root, { recursive: true, mode: 0o700 }))
  await onDisk('mark', root, async () => {
    const handle = await open(join(root, MARKER), 'wx', 0o600).catch(unlessThere)
    await handle?.writeFile(TEXT)
    await handle?.sync()
    await handle?.close()
  })
  await syncFolder(root)
}

/**
 * A folder without its mark is a disk that isn't mounted, or another: what looks like an empty store there must not be believed.
 * @throws STORE_UNREACHABLE
 */
export async function requireMarked(root: string): Promise<void> {
  const path = join(root, MARKER)
  if (await onDiskIfThere('look at', path, () => stat(path))) return
  throw new CofferError(
    'STORE_UNREACHABLE',
    `${root} is not the store that it was: it has no file ${MARKER}; check that its disk is mounted (if it is the right folder, make an empty file of that name there)`,
  )
}

function unlessThere(error: unknown): null {
  if (systemCode(error) === 'EEXIST') return null
  throw error
}
