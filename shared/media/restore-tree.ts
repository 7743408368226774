import { CofferError } from '../errors.ts'
import { reached } from '../steps.ts'
import { fromText, quoted, type Bytes } from './bytes.ts'
import { Folder } from './folder.ts'
import { commitJournal, readJournal } from './journal.ts'
import { mountsInTheWay } from './mounts.ts'
import { planSteps } from './plan-steps.ts'
import { rollForward } from './roll-forward.ts'
import { findStaging, makeStaging, type Staging } from './staging.ts'
import { syncFileSystem } from './sync-file-system.ts'
import { errnoOf } from './system-calls.ts'

export interface TreeRestore<Report> {
  /** Real path of the folder to restore into; made when it is not there. */
  root: string
  /** A UUID. Whoever comes after a crash finds by it what was left (`recoverTree`). */
  id: string
  /** What exactly is replaced; null: everything. */
  paths: readonly Bytes[] | null
  neededBytes: number
  /** Puts into the staged tree what belongs into the root, and proves it. */
  stage: (staging: Staging) => Promise<Report>
  /** Asked last before the root is touched: throws what stands against it. */
  beforeCommit?: () => Promise<void>
  signal?: AbortSignal
}

/**
 * Restores over a living folder, which itself stays what it is. Nothing in it is touched before everything is staged beside it and proven;
 * then a journal is committed to, and from there on nothing but a failing system call turns it back. A mark stays by which `recoverTree`
 * knows that it came through, until `forgetTree`.
 * @returns the report of `stage`, and what could not be tidied up
 * @throws whatever `stage` and `beforeCommit` throw, the signal's reason, CofferError RESTORE_FAILED; the folder is as it was then
 */
export async function restoreTree<Report>(
  options: TreeRestore<Report>,
): Promise<{ report: Report; leftovers: string[] }> {
  const staging = await makeStaging(options.root, options.id, options.neededBytes)
  try {
    const report = await commit(staging, options)
    await rollForward(staging)
    return { report, leftovers: await clear(staging) }
  } catch (error) {
    // The first failure is the one to tell, also when cleaning up after it fails.
    await discardUncommitted(staging).catch(() => undefined)
    throw error
  } finally {
    staging.close()
  }
}

/**
 * Finishes what a killed restore had committed to, or removes what it had staged. May be killed and run again, with the same answer.
 * @returns what the folder holds now
 * @throws CofferError CONFLICT where what was committed to is about another folder, RESTORE_FAILED as `restoreTree` does
 */
export async function recoverTree(root: string, id: string): Promise<'as-before' | 'restored'> {
  const staging = await findStaging(root, id)
  if (staging === null) return 'as-before'
  try {
    const state = await staging.state()
    if (state === 'filling' || state === 'undone') {
      await staging.remove()
      return 'as-before'
    }
    if (state === 'committed') {
      await requireSameRoot(staging)
      await rollForward(staging)
    }
    await clear(staging)
    return 'restored'
  } finally {
    staging.close()
  }
}

/**
 * The connection, a symlink or what is mounted may lead elsewhere since: half of the steps are done in the folder that they were planned for.
 * A root that is gone is another matter. No device is compared but that of the staging: numbers of devices change when a host starts anew.
 */
async function requireSameRoot(staging: Staging): Promise<void> {
  const { root, rootInode, close } = await readJournal(staging)
  close()
  const live = await openIfThere(staging.root)
  live?.close()
  const isMoved = root !== null && root !== staging.root
  const { ino, dev } = live?.stats ?? {}
  const isOther = live !== null && rootInode !== null && (ino !== rootInode || dev !== staging.folder.stats.dev)
  if (!isMoved && !isOther) return
  const planned = isMoved ? root : `the folder that was ${staging.root} then (inode ${rootInode})`
  const message = `${staging.path} holds half of a restore into ${planned}, not into ${staging.root}: let the connection lead there again`
  throw new CofferError('CONFLICT', message)
}

/**
 * Removes the mark of a restore whose end is known elsewhere. What must still be rolled forward stays, and so does what could not be put
 * back. May run twice.
 */
export async function forgetTree(root: string, id: string): Promise<void> {
  const staging = await findStaging(root, id)
  if (staging === null) return
  try {
    if ((await staging.state()) !== 'committed') await staging.remove()
  } finally {
    staging.close()
  }
}

/** Without a journal nothing of the root was touched, or everything was undone that could be. */
async function discardUncommitted(staging: Staging): Promise<void> {
  if (['filling', 'undone'].includes(await staging.state())) await staging.remove()
}

async function commit<Report>(staging: Staging, options: TreeRestore<Report>): Promise<Report> {
  const { root, paths, signal } = options
  const report = await options.stage(staging)
  signal?.throwIfAborted()
  reached('media-staged')
  await options.beforeCommit?.()
  const live = await openIfThere(root)
  try {
    await refuseMounts(root, paths)
    // Also what was staged must outlast a power cut now.
    await syncFileSystem(staging.path)
    await staging.requireOwn()
    await commitJournal(staging, { rootInode: live?.stats.ino ?? null, steps: planSteps(staging, live, paths) })
  } finally {
    live?.close()
  }
  return report
}

/** What is restored is restored, also when the old state can't be removed. */
async function clear(staging: Staging): Promise<string[]> {
  try {
    await staging.clear()
    return []
  } catch (error) {
    const why = error instanceof CofferError ? error.message : errnoOf(error) || String(error)
    return [`what was there before is still in ${staging.path} (${why}); remove it by hand`]
  }
}

async function refuseMounts(root: string, paths: readonly Bytes[] | null): Promise<void> {
  const [mount] = await mountsInTheWay(root, paths)
  if (mount === undefined) return
  throw new CofferError('TARGET_INCOMPATIBLE', `${quoted(mount)} in ${root} is a mount point and can't be replaced`)
}

async function openIfThere(root: string): Promise<Folder | null> {
  try {
    return await Folder.open(fromText(root))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
}
