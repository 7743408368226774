import { randomBytes } from 'node:crypto'
import { chmod, chown, lstat, mkdir, readdir, readFile, realpath, rename, statfs } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { CofferError } from '../errors.ts'
import { removeTree } from './remove-tree.ts'
import { errnoOf } from './system-calls.ts'

/** A place to restore into, on the target's own file system, that becomes the target in one step or leaves no trace. */
export interface Staging {
  /** The folder that becomes the target. */
  tree: string
  /** A folder for what must be remembered meanwhile. */
  notes: string
  commit(): Promise<void>
  discard(): Promise<void>
}

/**
 * A hidden folder beside the target, `.<name>.coffer-restore-<random>`, that is renamed onto it. A mount point can't be renamed onto: there
 * it lies inside, and what was restored is moved up, which a crash may leave half done.
 * @throws CofferError TARGET_NOT_EMPTY, RESTORE_FAILED
 */
export async function openStaging(target: string, neededBytes: number): Promise<Staging> {
  const existing = await lookAt(resolve(target))
  const place = existing.path
  const isMount = existing.stats !== null && (await isMountPoint(place))
  const parent = isMount ? place : dirname(place)
  await mkdir(parent, { recursive: true })
  await refuseIfTooSmall(parent, neededBytes)
  const folder = join(parent, `.${basename(place)}.coffer-restore-${randomBytes(6).toString('hex')}`)
  await mkdir(folder, { mode: 0o700 })
  const tree = join(folder, 'tree')
  const notes = join(folder, 'notes')
  await mkdir(tree, { mode: 0o700 })
  await mkdir(notes, { mode: 0o700 })
  return {
    tree,
    notes,
    async commit() {
      if (isMount) await moveUp(tree, place)
      else await becomeTarget(tree, place, existing.stats)
      await removeTree(folder)
    },
    discard: () => removeTree(folder),
  }
}

interface Attributes {
  mode: number
  uid: number
  gid: number
}

async function lookAt(target: string): Promise<{ path: string; stats: Attributes | null }> {
  let path: string
  try {
    path = await realpath(target)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return { path: target, stats: null }
    throw new CofferError('RESTORE_FAILED', `the target ${target} can't be reached (${errnoOf(error)})`, {
      cause: error,
    })
  }
  const stats = await lstat(path)
  if (!stats.isDirectory()) throw new CofferError('TARGET_NOT_EMPTY', `the target ${path} is not a folder`)
  const names = await readdir(path)
  if (names.length > 0) {
    const some = names.slice(0, 3).map((name) => JSON.stringify(name))
    const list =
      names.length > some.length ? `${some.join(', ')} and ${names.length - some.length} more` : some.join(', ')
    throw new CofferError('TARGET_NOT_EMPTY', `the target ${path} holds ${list}`, {
      details: { entries: names.length },
    })
  }
  return { path, stats }
}

async function becomeTarget(tree: string, target: string, attributes: Attributes | null): Promise<void> {
  try {
    await rename(tree, target)
  } catch (cause) {
    const isTaken = ['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(errnoOf(cause))
    if (!isTaken) throw cause
    throw new CofferError('TARGET_NOT_EMPTY', `something was put into the target ${target} meanwhile`, { cause })
  }
  if (attributes && process.getuid?.() === 0) await chown(target, attributes.uid, attributes.gid)
  await chmod(target, attributes === null ? 0o755 : attributes.mode & 0o7777)
}

async function moveUp(tree: string, target: string): Promise<void> {
  for (const name of await readdir(tree, { encoding: 'buffer' })) {
    const from = Buffer.concat([Buffer.from(`${tree}/`), name])
    const { mode } = await lstat(from)
    // Moving a folder writes to it ('..'), which its restored mode may forbid.
    const isFolder = (mode & 0o170000) === 0o040000
    if (isFolder) await chmod(from, 0o700)
    const to = Buffer.concat([Buffer.from(`${target}/`), name])
    await rename(from, to)
    if (isFolder) await chmod(to, mode & 0o7777)
  }
}

async function isMountPoint(path: string): Promise<boolean> {
  const [own, parent] = await Promise.all([lstat(path), lstat(dirname(path))])
  if (own.dev !== parent.dev) return true
  // A bind mount of the same file system shows only here.
  const mounts = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '')
  const unescaped = (field = '') =>
    field.replace(/\\(\d{3})/g, (_, code: string) => String.fromCharCode(parseInt(code, 8)))
  return mounts.split('\n').some((mount) => unescaped(mount.split(' ')[4]) === path)
}

async function refuseIfTooSmall(folder: string, neededBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder)
  if (bavail * bsize >= neededBytes) return
  throw new CofferError(
    'RESTORE_FAILED',
    `the file system of ${folder} has ${bavail * bsize} bytes free, the restore needs ${neededBytes}`,
  )
}
