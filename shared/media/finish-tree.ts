import type { FileEntry } from '../domain/file-list.ts'
import { applyToFolder, applyToSymlink, type Attributes } from './attributes.ts'
import { toBuffer, type Bytes } from './bytes.ts'
import { isInArchive, linkOf, pathOf } from './file-list.ts'
import { Folder } from './folder.ts'
import { creating } from './member-writer.ts'
import { componentsOf } from './restore-path.ts'
import { link, symlink } from './system-calls.ts'
import { TreeCursor } from './tree-cursor.ts'

type OpenList = () => AsyncIterable<FileEntry>

/** What can only be done when all files are there: hard links, then symlinks and the attributes of folders, innermost first. */
export async function finishTree(tree: Bytes, openList: OpenList, hardLinks: number): Promise<void> {
  if (hardLinks > 0) await makeHardLinks(tree, openList())
  await makeSymlinksAndFolders(tree, openList())
}

async function makeHardLinks(tree: Bytes, list: AsyncIterable<FileEntry>): Promise<void> {
  const root = await Folder.open(tree)
  const targets = new TreeCursor(root)
  const places = new TreeCursor(root)
  try {
    for await (const entry of list) {
      if (entry.type !== 'hardlink' || !isInArchive(entry)) continue
      const path = pathOf(entry)
      const from = split(linkOf(entry) ?? '')
      const address = (await targets.goTo(from.parents)).at(from.name)
      const to = split(path)
      const parent = await places.goTo(to.parents)
      await creating(path, () => link(address, parent.at(to.name)))
    }
  } finally {
    targets.close()
    places.close()
    root.close()
  }
}

async function makeSymlinksAndFolders(tree: Bytes, list: AsyncIterable<FileEntry>): Promise<void> {
  const root = await Folder.open(tree)
  const open = new Map<Bytes, Attributes>()
  const cursor = new TreeCursor(root, (path, folder) => {
    const attributes = open.get(path)
    if (attributes) applyToFolder(folder, attributes)
    open.delete(path)
  })
  try {
    for await (const entry of list) {
      if (!isInArchive(entry)) continue
      const path = pathOf(entry)
      if (entry.type === 'directory') {
        open.set(path, attributesOf(entry))
        await cursor.goTo(componentsOf(path))
      } else if (entry.type === 'symlink') {
        const { parents, name } = split(path)
        const parent = await cursor.goTo(parents)
        await creating(path, () => symlink(toBuffer(linkOf(entry) ?? ''), parent.at(name)))
        await applyToSymlink(parent, name, attributesOf(entry))
      }
    }
    await cursor.finish()
  } finally {
    cursor.close()
    root.close()
  }
}

function split(path: Bytes): { parents: Bytes[]; name: Bytes } {
  const parents = componentsOf(path)
  return { name: parents.pop() ?? '', parents }
}

function attributesOf(entry: FileEntry): Attributes {
  return { mode: entry.mode, uid: entry.uid, gid: entry.gid, mtimeNs: BigInt(entry.mtime_ns) }
}
