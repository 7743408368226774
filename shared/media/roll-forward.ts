import { mkdir, rmdir, unlink } from 'node:fs/promises'
import { CofferError } from '../errors.ts'
import { reached } from '../steps.ts'
import { fromText, type Bytes } from './bytes.ts'
import { Folder } from './folder.ts'
import { readJournal, type Step } from './journal.ts'
import { giveBackMode, isEntry, moveOnto, widen } from './move-entry.ts'
import { componentsOf } from './restore-path.ts'
import { syncParent, type Staging } from './staging.ts'
import { syncFileSystem } from './sync-file-system.ts'
import { errnoOf, rename } from './system-calls.ts'
import { TreeCursor } from './tree-cursor.ts'

/** One step's three places. */
interface Places {
  step: Step
  parent: Folder
  name: Bytes
  live: Buffer
  fresh: Buffer
  old: Buffer
}

/**
 * Does what the journal says: every old entry aside, every new one in. May run again after a crash anywhere, for where an entry lies says how
 * far its step has come. A step that fails undoes all of them.
 * @throws CofferError RESTORE_FAILED; the old state is back then, unless it says otherwise
 */
export async function rollForward(staging: Staging): Promise<void> {
  try {
    await eachStep(staging, advance)
    // What was moved in is on the disk before the old is removed.
    await syncFileSystem(staging.root)
  } catch (cause) {
    await undo(staging, cause)
    throw failed(staging, cause, 'everything is as it was')
  }
  await staging.markDone()
}

async function undo(staging: Staging, failure: unknown): Promise<void> {
  try {
    const makesRoot = await eachStep(staging, retreat)
    if (makesRoot) await rmdir(staging.root)
    await syncFileSystem(staging.path)
    await unlink(staging.journal)
    await staging.sync()
    reached('media-undone')
  } catch (error) {
    const state = `it can't be undone either (${errnoOf(error) || String(error)}); ${staging.path} holds what is missing`
    throw failed(staging, failure, state)
  }
}

async function advance({ step, parent, name, live, fresh, old }: Places): Promise<void> {
  const { kind, oldMode, newMode } = step
  const isPending = kind === 'replace' ? await isEntry(fresh) : !(await isEntry(old))
  if (isPending && (await isEntry(live))) {
    if (oldMode !== undefined && !(await isEntry(old))) await widen(live, oldMode)
    await moveAside(live, old)
    reached('media-old-aside')
  }
  // Whatever comes up in its place meanwhile follows the old one.
  while (isPending && kind === 'replace' && !(await moveOnto(fresh, live))) await moveAside(live, old)
  if (isPending && kind === 'replace') reached('media-new-in')
  if (newMode !== undefined) await giveBackMode(parent, name, newMode)
}

async function retreat({ step, parent, name, live, fresh, old }: Places): Promise<void> {
  const { kind, oldMode, newMode } = step
  if (kind === 'replace' && !(await isEntry(fresh)) && (await isEntry(live))) {
    if (newMode !== undefined) await widen(live, newMode)
    await rename(live, fresh)
    reached('media-new-out')
  }
  if ((await isEntry(old)) && !(await isEntry(live))) {
    await rename(old, live)
    reached('media-old-back')
  }
  if (oldMode !== undefined) await giveBackMode(parent, name, oldMode)
}

/** The first one aside is the old entry; later ones were made by somebody else since, and must not take its place. */
async function moveAside(live: Buffer, old: Buffer): Promise<void> {
  let place = old
  for (let count = 1; await isEntry(place); count++) place = Buffer.concat([old, Buffer.from(`.${count}`)])
  await rename(live, place)
}

async function eachStep(staging: Staging, act: (places: Places) => Promise<void>): Promise<boolean> {
  const { makesRoot, steps } = await readJournal(staging)
  await using folders = new AsyncDisposableStack()
  const openFolder = async (path: string) => {
    const folder = await Folder.open(fromText(path))
    folders.defer(() => folder.close())
    return folder
  }
  if (makesRoot) await makeRoot(staging.root)
  const live = new TreeCursor(await openFolder(staging.root))
  folders.defer(() => live.close())
  const fresh = new TreeCursor(await openFolder(staging.tree))
  folders.defer(() => fresh.close())
  const old = await openFolder(staging.old)
  let count = 0
  for await (const step of steps) {
    const parents = componentsOf(step.path)
    const name = parents.pop() ?? ''
    const parent = await live.goTo(parents)
    const from = (await fresh.goTo(parents)).at(name)
    await act({ step, parent, name, live: parent.at(name), fresh: from, old: old.at(String(count++)) })
  }
  return makesRoot
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
