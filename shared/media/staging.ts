import { randomUUID } from 'node:crypto'
import { access, constants, mkdir, readdir, rename, rmdir, stat, statfs, unlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CofferError } from '../errors.ts'
import { reached } from '../steps.ts'
import { fromText, type Bytes } from './bytes.ts'
import { Folder } from './folder.ts'
import { isMountPoint } from './mounts.ts'
import { removeTree } from './remove-tree.ts'
import { errnoOf, fsync, open, close } from './system-calls.ts'

const PREFIX = '.coffer-restore-'
const OWNER = 'owner-'
const NAME = new RegExp(`^\\${PREFIX}[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

/** Whether a folder's name is that of a staging: a killed restore may leave one, also inside a media root. */
export const isStagingName = (name: Bytes): boolean => NAME.test(name)

export type StagingState = 'filling' | 'committed' | 'undone' | 'done'

/**
 * A hidden folder on the root's own file system, named after the restore, so that whoever comes after a crash finds it:
 *
 *     owner-…   whose it is: a name that only that attempt knows
 *     tree/     what will be moved in      old/   what was moved aside
 *     notes/    lists                      journal   the steps; there once they are committed to; `done` after the last of them,
 *                                                    until somebody else knows; `undone` where `old` keeps what could not be
 *                                                    put back, until somebody has looked at it
 */
export class Staging {
  readonly root: string
  readonly path: string
  readonly folder: Folder
  readonly #owner = `${OWNER}${randomUUID()}`

  constructor(root: string, path: string, folder: Folder) {
    this.root = root
    this.path = path
    this.folder = folder
  }

  get tree(): string {
    return join(this.path, 'tree')
  }
  get old(): string {
    return join(this.path, 'old')
  }
  get notes(): string {
    return join(this.path, 'notes')
  }
  get journal(): string {
    return join(this.path, 'journal')
  }
  get done(): string {
    return join(this.path, 'done')
  }
  get undone(): string {
    return join(this.path, 'undone')
  }

  async state(): Promise<StagingState> {
    if (await isThere(this.done)) return 'done'
    if (await isThere(this.undone)) return 'undone'
    return (await isThere(this.journal)) ? 'committed' : 'filling'
  }

  /** Makes the names in it durable. */
  async sync(): Promise<void> {
    await fsync(this.folder.fd)
  }

  /** @throws RUN_FENCED where another has done so, or is about to */
  async markDone(): Promise<void> {
    await this.requireOwn()
    await rename(this.journal, this.done).catch((error: unknown) => {
      throw errnoOf(error) === 'ENOENT' ? this.fenced() : error
    })
    await this.sync()
    reached('media-rolled')
  }

  /** Nothing of it is in force any more; where `old` must stay, neither `clear` nor `remove` takes that. */
  async markUndone(keepsOld: boolean): Promise<void> {
    await this.requireOwn()
    if (keepsOld) await rename(this.journal, this.undone)
    else await unlink(this.journal)
    await this.sync()
  }

  /** Removes all that takes space, and leaves the mark of what it had come to. May run twice. */
  async clear(): Promise<void> {
    // A worker that was taken for dead must not remove the staging of the one that came after it.
    if (!(await this.#isOwn())) return
    const spent = (await this.state()) === 'undone' ? [] : [this.old]
    for (const part of [...spent, this.tree, this.notes]) {
      if (!(await isThere(part))) continue
      await removeTree(part)
      reached('media-removing')
    }
  }

  /** Removes it with everything in it, unless `old` must stay; the mark goes last. May run twice. */
  async remove(): Promise<void> {
    await this.clear()
    if ((await this.state()) === 'undone' || !(await this.#isOwn())) return
    for (const file of [`${this.journal}.tmp`, this.journal, this.done, join(this.path, this.#owner)])
      await unlink(file).catch(ignoreMissing)
    await rmdir(this.path)
    await syncParent(this.path)
  }

  /**
   * Fences off whoever had it before: that worker may only be frozen, and thaw. By a rename, since the disk may be full; of several who do
   * so at once, one has it in the end.
   */
  async takeOver(): Promise<void> {
    const own = join(this.path, this.#owner)
    for (let names = await this.#owners(); names.join('/') !== this.#owner; names = await this.#owners()) {
      if (names.length === 0) await writeFile(own, '')
      for (const name of names) if (name !== this.#owner) await rename(join(this.path, name), own).catch(ignoreMissing)
    }
  }

  /** Asked before anything outside is touched. @throws RUN_FENCED where another has taken this worker for dead, and its staging over */
  async requireOwn(): Promise<void> {
    if (!(await this.#isOwn())) throw this.fenced()
  }

  fenced(): CofferError {
    return new CofferError('RUN_FENCED', `${this.path} is not that of this attempt any more: another has taken over`)
  }

  close(): void {
    this.folder.close()
  }

  async #isOwn(): Promise<boolean> {
    try {
      return (await this.#owners()).includes(this.#owner)
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return false
      throw error
    }
  }

  /** Read as a folder, which NFS answers with what other hosts have done. */
  async #owners(): Promise<string[]> {
    return (await readdir(this.path)).filter((name) => name.startsWith(OWNER))
  }
}

/** @throws CofferError RESTORE_FAILED when there is not enough space, or the restore has one already: recover it first */
export async function makeStaging(root: string, id: string, neededBytes: number): Promise<Staging> {
  const parent = await stagingParent(root)
  await mkdir(parent, { recursive: true })
  const free = await freeBytes(parent)
  if (free < neededBytes) {
    const message = `the file system of ${parent} has ${free} bytes free, the restore needs ${neededBytes}`
    throw new CofferError('RESTORE_FAILED', message)
  }
  const path = join(parent, PREFIX + id)
  try {
    await mkdir(path, { mode: 0o700 })
  } catch (cause) {
    if (errnoOf(cause) !== 'EEXIST') throw cause
    throw new CofferError('RESTORE_FAILED', `${path} is there already, from an earlier attempt`, { cause })
  }
  const staging = new Staging(root, path, await Folder.open(fromText(path)))
  await staging.takeOver()
  for (const part of [staging.tree, staging.old, staging.notes]) await mkdir(part, { mode: 0o700 })
  reached('media-staging-made')
  return staging
}

/** What an attempt of this restore has left, taken over from it. @throws CofferError RESTORE_FAILED when it is somebody else's */
export async function findStaging(root: string, id: string): Promise<Staging | null> {
  for (const parent of [root, dirname(root)]) {
    const path = join(parent, PREFIX + id)
    try {
      return await takeOver(new Staging(root, path, await Folder.open(fromText(path))))
    } catch (error) {
      if (!['ENOENT', 'ENOTDIR'].includes(errnoOf(error))) throw error
    }
  }
  return null
}

async function takeOver(staging: Staging): Promise<Staging> {
  try {
    if (Number(staging.folder.stats.uid) !== process.getuid?.())
      throw new CofferError('RESTORE_FAILED', `${staging.path} belongs to another user`)
    await staging.takeOver()
    return staging
  } catch (error) {
    staging.close()
    throw error
  }
}

/** Beside the root; inside it where that is another file system, or where nothing may be made beside it. */
export async function stagingParent(root: string): Promise<string> {
  if (!(await isThere(root))) return dirname(root)
  return (await isMountPoint(root)) || !(await isWritable(dirname(root))) ? root : dirname(root)
}

export async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}

export const isWritable = (folder: string | Buffer): Promise<boolean> =>
  access(folder, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  )

export async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error))) return false
    throw error
  }
}

export async function syncParent(path: string): Promise<void> {
  const fd = await open(dirname(path), constants.O_RDONLY)
  try {
    await fsync(fd)
  } finally {
    close(fd)
  }
}

function ignoreMissing(error: unknown): void {
  if (errnoOf(error) !== 'ENOENT') throw error
}
