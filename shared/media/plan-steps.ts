import { CofferError } from '../errors.ts'
import { fromText, quoted, type Bytes } from './bytes.ts'
import { Folder } from './folder.ts'
import type { Step } from './journal.ts'
import { isEntry, modeToWiden, widen } from './move-entry.ts'
import { componentsOf } from './restore-path.ts'
import { isStagingName, type Staging } from './staging.ts'
import { errnoOf, fchmod } from './system-calls.ts'
import { TreeCursor } from './tree-cursor.ts'

/** What must be done so that the root holds what is staged: exactly that (`paths` is null), or of these paths exactly that. */
export async function* planSteps(
  staging: Staging,
  live: Folder | null,
  paths: readonly Bytes[] | null,
): AsyncGenerator<Step, void, undefined> {
  const tree = await Folder.open(fromText(staging.tree))
  try {
    if (paths === null) yield* wholeSteps(live, tree)
    else yield* partialSteps(live, tree, paths)
  } finally {
    tree.close()
  }
}

async function* wholeSteps(live: Folder | null, tree: Folder): AsyncGenerator<Step, void, undefined> {
  for (const name of await plainNames(tree)) yield await replace(name, live?.at(name), tree.at(name))
  for (const name of live === null ? [] : await plainNames(live)) {
    // What another restore keeps in its staging must not go; nothing of it is ever archived.
    if (isStagingName(name) || live === null || (await isEntry(tree.at(name)))) continue
    const oldMode = await modeToWiden(live.at(name))
    yield { path: name, kind: 'remove', ...(oldMode !== undefined && { oldMode }) }
  }
}

async function* partialSteps(
  live: Folder | null,
  tree: Folder,
  paths: readonly Bytes[],
): AsyncGenerator<Step, void, undefined> {
  const fresh = new TreeCursor(tree)
  const existing = live === null ? null : new TreeCursor(live)
  const planned = new Set<Bytes>()
  try {
    for (const path of paths) {
      const { parent, place } = await findPlace(existing, path)
      const step = place.join('/')
      if (planned.has(step)) continue
      planned.add(step)
      const name = place.pop() ?? ''
      // The staged parents stay behind: they need not be as restored, but must let go of what lies in them.
      for (let depth = 1; depth <= place.length; depth++) {
        const { fd } = await fresh.goTo(place.slice(0, depth))
        fchmod(fd, 0o700)
      }
      yield await replace(step, parent?.at(name), (await fresh.goTo(place)).at(name))
    }
  } finally {
    fresh.close()
    existing?.close()
  }
}

/**
 * Where a path is put in: at its own name, or at the first of its parents that is missing, with which it comes.
 * @throws CofferError TARGET_INCOMPATIBLE when one of them is no folder; a symlink is none
 */
export async function findPlace(
  live: TreeCursor | null,
  path: Bytes,
): Promise<{ parent: Folder | null; place: Bytes[] }> {
  const components = componentsOf(path)
  if (live === null) return { parent: null, place: components.slice(0, 1) }
  for (let depth = 1; depth < components.length; depth++) {
    const place = components.slice(0, depth)
    try {
      await live.goTo(place)
    } catch (cause) {
      if (errnoOf(cause) === 'ENOENT') return { parent: await live.goTo(place.slice(0, -1)), place }
      if (!['ENOTDIR', 'ELOOP'].includes(errnoOf(cause))) throw cause
      const message = `${quoted(path)} can't be put in: ${quoted(place.join('/'))} is no folder in the target`
      throw new CofferError('TARGET_INCOMPATIBLE', message, { cause })
    }
  }
  return { parent: await live.goTo(components.slice(0, -1)), place: components }
}

async function replace(path: Bytes, live: Buffer | undefined, fresh: Buffer): Promise<Step> {
  const oldMode = live === undefined ? undefined : await modeToWiden(live)
  const newMode = await modeToWiden(fresh)
  if (newMode !== undefined) await widen(fresh, newMode)
  return { path, kind: 'replace', ...(oldMode !== undefined && { oldMode }), ...(newMode !== undefined && { newMode }) }
}

async function plainNames(folder: Folder): Promise<Iterable<Bytes>> {
  const names = await folder.list()
  return (function* () {
    for (const name of names) yield name.replace(/\/$/, '')
  })()
}
