import { randomUUID } from 'node:crypto'
import { lstat, readdir, realpath } from 'node:fs/promises'
import { resolve } from 'node:path'
import { CofferError } from '../errors.ts'
import { forgetTree, restoreTree } from './restore-tree.ts'
import { stageArchive, type ArchiveToStage, type Staged } from './stage-archive.ts'
import { isStagingName } from './staging.ts'
import { errnoOf } from './system-calls.ts'

export interface ExtractOptions extends ArchiveToStage {
  /** An empty folder, or a path where one can be made. */
  target: string
}

/**
 * Restores an archive into an empty folder, a drill's scratch folder for example. A failure or abort leaves the target as it was.
 * @throws CofferError TARGET_NOT_EMPTY, ARTIFACT_CORRUPT, RESTORE_FAILED, what the source throws, and the signal's reason
 */
export async function extractIntoEmpty({ target, ...archive }: ExtractOptions): Promise<Staged> {
  return naming(target, async () => {
    const root = await emptyOrMissing(resolve(target))
    const id = randomUUID()
    const { report, leftovers } = await restoreTree({
      root,
      id,
      paths: null,
      neededBytes: archive.expected.bytes,
      stage: (staging) => stageArchive(staging, archive),
      beforeCommit: async () => {
        await emptyOrMissing(root)
      },
      ...(archive.signal && { signal: archive.signal }),
    })
    // Nobody asks again how it ended.
    await forgetTree(root, id)
    return { ...report, warnings: [...report.warnings, ...leftovers] }
  })
}

/** A failed system call becomes RESTORE_FAILED that names the target; every other error passes. */
export async function naming<T>(target: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const errno = errnoOf(error)
    if (error instanceof CofferError || !/^E[A-Z0-9]+$/.test(errno)) throw error
    throw new CofferError('RESTORE_FAILED', `the restore into ${target} failed (${errno})`, { cause: error })
  }
}

/** Its real path. */
async function emptyOrMissing(target: string): Promise<string> {
  let path: string
  try {
    path = await realpath(target)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return target
    throw error
  }
  if (!(await lstat(path)).isDirectory())
    throw new CofferError('TARGET_NOT_EMPTY', `the target ${path} is not a folder`)
  const names = (await readdir(path)).filter((name) => !isStagingName(name))
  if (names.length === 0) return path
  const some = names.slice(0, 3).map((name) => JSON.stringify(name))
  const list =
    names.length > some.length ? `${some.join(', ')} and ${names.length - some.length} more` : some.join(', ')
  throw new CofferError('TARGET_NOT_EMPTY', `the target ${path} holds ${list}`, { details: { entries: names.length } })
}
