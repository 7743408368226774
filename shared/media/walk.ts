import type { Bytes } from './bytes.ts'
import { Folder } from './folder.ts'
import type { NameList } from './name-list.ts'
import { isStagingName } from './staging.ts'
import { errnoOf, throwIfExhausted } from './system-calls.ts'

/** One step of a walk. `leave` hands the folder over: whoever gets it closes it when nothing reads from it any more. */
export type Visit =
  | { kind: 'folder'; path: Bytes; folder: Folder }
  | { kind: 'leaf'; path: Bytes; name: Bytes; parent: Folder }
  | { kind: 'failed'; path: Bytes; error: unknown }
  | { kind: 'staging'; path: Bytes }
  | { kind: 'leave'; folder: Folder }

interface Level {
  folder: Folder
  path: Bytes
  names: NameList
  next: number
}

/**
 * Everything under the root, parents first, in bytewise order of the paths. The names in memory are those of the folders between the
 * root and the present place. Follows no symlink, and does not enter what a restore has staged. Takes over the root folder.
 */
export async function* walk(root: Folder, rootNames: NameList): AsyncGenerator<Visit, void, undefined> {
  const levels: Level[] = [{ folder: root, path: '', names: rootNames, next: 0 }]
  try {
    for (let level = levels.at(-1); level; level = levels.at(-1)) {
      const name = level.names.at(level.next++)
      if (name === undefined) {
        levels.pop()
        yield { kind: 'leave', folder: level.folder }
      } else if (!name.endsWith('/')) {
        yield { kind: 'leaf', path: level.path + name, name, parent: level.folder }
      } else if (isStagingName(name.slice(0, -1))) {
        yield { kind: 'staging', path: level.path + name.slice(0, -1) }
      } else {
        yield await enter(level, name.slice(0, -1), levels)
      }
    }
  } finally {
    for (const { folder } of levels) folder.close()
  }
}

async function enter(parent: Level, name: Bytes, levels: Level[]): Promise<Visit> {
  const path = parent.path + name
  let folder: Folder | undefined
  try {
    folder = await parent.folder.openFolder(name)
    const names = await folder.list()
    levels.push({ folder, path: `${path}/`, names, next: 0 })
    return { kind: 'folder', path, folder }
  } catch (error) {
    folder?.close()
    throwIfExhausted(error)
    // It was a directory when its parent was listed and is something else now.
    if (['ENOTDIR', 'ELOOP'].includes(errnoOf(error))) return { kind: 'leaf', path, name, parent: parent.folder }
    return { kind: 'failed', path, error }
  }
}
