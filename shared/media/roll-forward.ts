import { mkdir, readdir, rmdir } from 'node:fs/promises'
import { CofferError } from '../errors.ts'
import { reached } from '../steps.ts'
import { fromText, quoted } from './bytes.ts'
import { Folder } from './folder.ts'
import { readJournal, type Step } from './journal.ts'
import { giveBackMode, isEntry, moveOnto, widen } from './move-entry.ts'
import { componentsOf } from './restore-path.ts'
import { syncParent, type Staging } from './staging.ts'
import { syncFileSystem } from './sync-file-system.ts'
import { errnoOf, rename } from './system-calls.ts'
import { TreeCursor } from './tree-cursor.ts'

/** How many paths of which something is kept are told by name. */
const NAMED = 5

/** One step's three places. */
interface Places {
  staging: Staging
  step: Step
  /** null: the folder that it belongs into is gone. */
  live: Buffer | null
  fresh: Buffer
  old: Buffer
}

/**
 * Does what the journal says: every old entry aside, every new one in. May run again after a crash anywhere, for where an entry lies says how
 * far its step has come. A step that fails undoes all of them.
 * @throws RUN_FENCED where another has taken over; CofferError RESTORE_FAILED, the old state is back then, unless it says otherwise
 */
export async function rollForward(staging: Staging): Promise<void> {
  try {
    await eachStep(staging, advance)
    // What was moved in is on the disk before the old is removed.
    await syncFileSystem(staging.path)
  } catch (cause) {
    if (cause instanceof CofferError && cause.code === 'RUN_FENCED') throw cause
    throw failed(staging, cause, await undo(staging))
  }
  await staging.markDone()
}

/** @returns what the folder is like afterwards @throws RUN_FENCED */
async function undo(staging: Staging): Promise<string> {
  const kept = { count: 0, names: [] as string[] }
  try {
    const makesRoot = await eachStep(staging, async (places) => {
      await retreat(places)
      if (!(await isEntry(places.old)) && !(await isEntry(beside(places.old, 1)))) return
      if (kept.count++ < NAMED) kept.names.push(quoted(places.step.path))
    })
    await staging.requireOwn()
    if (makesRoot) await rmdir(staging.root).catch(ignoreFilled)
    await syncFileSystem(staging.path)
    await staging.markUndone(kept.count > 0)
    reached('media-undone')
  } catch (error) {
    // What it fails on may have gone with the staging.
    await staging.requireOwn()
    const holds = (await holdsOld(staging)) ? `; ${staging.old} holds what is missing` : ''
    return `it can't be undone either (${errnoOf(error) || String(error)})${holds}`
  }
  if (kept.count === 0) return 'everything is as it was'
  const which = kept.names.join(', ') + (kept.count > NAMED ? ', …' : '')
  return `everything is as it was, but ${staging.old} keeps what could not be put back, or came up meanwhile, of ${kept.count}: ${which}`
}

/** The application may have made something in the root meanwhile: then it stays. */
function ignoreFilled(error: unknown): void {
  if (!['ENOTEMPTY', 'EEXIST'].includes(errnoOf(error))) throw error
}

/** Where it can't be told, it may. */
const holdsOld = (staging: Staging): Promise<boolean> =>
  readdir(staging.old).then(
    (names) => names.length > 0,
    () => true,
  )

async function advance({ staging, step, live, fresh, old }: Places): Promise<void> {
  const { kind, oldMode, newMode } = step
  const isPending = kind === 'replace' ? await isEntry(fresh) : !(await isEntry(old))
  if (live === null) {
    // What was moved in already has gone with its folder: whoever removed that meant it.
    if (!isPending) return
    throw new CofferError('RESTORE_FAILED', `the folder of ${quoted(step.path)} is gone`)
  }
  if (isPending && (await isEntry(live))) {
    if (oldMode !== undefined && !(await isEntry(old))) await widen(live, oldMode)
    await moveAside(live, old)
    reached('media-old-aside')
  }
  // Whatever comes up in its place meanwhile follows the old one.
  while (isPending && kind === 'replace' && !(await moveIn(staging, fresh, live))) await moveAside(live, old)
  if (isPending && kind === 'replace') reached('media-new-in')
  if (newMode !== undefined) await giveBack(staging, live, newMode)
}

/** @throws RUN_FENCED also where it is gone: another has moved it */
async function moveIn(staging: Staging, fresh: Buffer, live: Buffer): Promise<boolean> {
  await staging.requireOwn()
  try {
    return await moveOnto(fresh, live)
  } catch (error) {
    throw errnoOf(error) === 'ENOENT' && !(await isEntry(fresh)) ? staging.fenced() : error
  }
}

async function giveBack(staging: Staging, live: Buffer, mode: number): Promise<void> {
  await staging.requireOwn()
  await giveBackMode(live, mode)
}

/** Leaves in `old` what has no folder any more to be put back into, and beside it what had taken its name meanwhile. */
async function retreat({ staging, step, live, fresh, old }: Places): Promise<void> {
  const { kind, oldMode, newMode } = step
  if (live === null) return
  if (kind === 'replace' && !(await isEntry(fresh)) && (await isEntry(live))) {
    if (newMode !== undefined) await widen(live, newMode)
    await rename(live, fresh)
    reached('media-new-out')
  }
  if (await isEntry(old)) {
    await staging.requireOwn()
    while (await isEntry(live)) await moveAside(live, old)
    await rename(old, live)
    reached('media-old-back')
  }
  if (oldMode !== undefined) await giveBack(staging, live, oldMode)
}

/** The first one aside is the old entry; later ones were made by somebody else since, and must not take its place. */
async function moveAside(live: Buffer, old: Buffer): Promise<void> {
  let place = old
  for (let count = 1; await isEntry(place); count++) place = beside(old, count)
  await rename(live, place)
}

const beside = (old: Buffer, count: number): Buffer => Buffer.concat([old, Buffer.from(`.${count}`)])

/** Each is asked about anew: a worker that was frozen must not touch what its successor has done since. */
async function eachStep(staging: Staging, act: (places: Places) => Promise<void>): Promise<boolean> {
  await staging.requireOwn()
  const { makesRoot, steps, close } = await readJournal(staging)
  await using folders = new AsyncDisposableStack()
  folders.defer(close)
  const openFolder = async (path: string) => {
    const folder = await Folder.open(fromText(path))
    folders.defer(() => folder.close())
    return folder
  }
  if (makesRoot) await makeRoot(staging.root)
  const root = await unlessGone(openFolder(staging.root))
  const live = root && new TreeCursor(root)
  folders.defer(() => live?.close())
  const fresh = new TreeCursor(await openFolder(staging.tree))
  folders.defer(() => fresh.close())
  const old = await openFolder(staging.old)
  let count = 0
  for await (const step of steps) {
    const parents = componentsOf(step.path)
    const name = parents.pop() ?? ''
    const parent = live && (await unlessGone(live.goTo(parents)))
    const from = (await fresh.goTo(parents)).at(name)
    await staging.requireOwn()
    await act({ staging, step, live: parent?.at(name) ?? null, fresh: from, old: old.at(String(count++)) })
  }
  return makesRoot
}

/** The application may remove folders while it is restored into, or put something else in their place. */
async function unlessGone(opening: Promise<Folder>): Promise<Folder | null> {
  try {
    return await opening
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error))) return null
    throw error
  }
}

async function makeRoot(root: string): Promise<void> {
  try {
    await mkdir(root, { mode: 0o755 })
    await syncParent(root)
    reached('media-root-made')
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
  }
}

function failed(staging: Staging, cause: unknown, state: string): CofferError {
  const why = cause instanceof CofferError ? cause.message : errnoOf(cause) || String(cause)
  const message = `what was restored can't be moved into ${staging.root}: ${why}; ${state}`
  return new CofferError('RESTORE_FAILED', message, { cause })
}
