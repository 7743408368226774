import type { FileEntry } from '../domain/file-list.ts'
import type { Bytes } from './bytes.ts'
import { encodeFileEntry, isInArchive, linkFields, linkOf, pathOf } from './file-list.ts'
import type { NoteFile } from './note-file.ts'
import { corrupt } from './restore-path.ts'
import type { SelectedPaths } from './selected-paths.ts'

/** A file outside of the selection under whose name the bytes of a selected hard link lie. */
interface Borrowed {
  entry?: FileEntry
  /** The first selected name, which becomes the file. */
  stagedAs?: Bytes
}

export interface Selected {
  files: number
  hardLinks: number
  /** Where the bytes of members outside of the selection go. */
  borrowed: ReadonlyMap<Bytes, Borrowed>
}

/**
 * Writes down the entries of a list that are selected, with the folders they lie in. A hard link to what is not selected becomes a file
 * itself, and further links to that are links to it.
 * @throws CofferError ARTIFACT_CORRUPT for a link to nothing before it
 */
export async function selectEntries(list: NoteFile, selected: SelectedPaths, wanted: NoteFile): Promise<Selected> {
  const borrowed = await findBorrowed(list, selected)
  const result = { files: 0, hardLinks: 0, borrowed }
  for await (const entry of list.read()) {
    if (!isInArchive(entry)) continue
    const path = pathOf(entry)
    const lender = borrowed.get(path)
    if (lender) lender.entry = entry
    if (selected.isParent(path) && entry.type === 'directory') await wanted.append(encodeFileEntry(entry))
    if (!selected.holds(path)) continue
    const staged = entry.type === 'hardlink' ? resolveLink(entry, borrowed) : entry
    if (staged.type === 'file') result.files++
    if (staged.type === 'hardlink') result.hardLinks++
    await wanted.append(encodeFileEntry(staged))
  }
  await wanted.finish()
  return result
}

async function findBorrowed(list: NoteFile, selected: SelectedPaths): Promise<Map<Bytes, Borrowed>> {
  const borrowed = new Map<Bytes, Borrowed>()
  for await (const entry of list.read()) {
    if (entry.type !== 'hardlink' || !isInArchive(entry) || !selected.holds(pathOf(entry))) continue
    const target = linkOf(entry) ?? ''
    if (!selected.holds(target)) borrowed.set(target, {})
  }
  return borrowed
}

function resolveLink(entry: FileEntry, borrowed: ReadonlyMap<Bytes, Borrowed>): FileEntry {
  const lender = borrowed.get(linkOf(entry) ?? '')
  if (!lender) return entry
  if (lender.stagedAs !== undefined)
    return { ...entry, link: undefined, link_b64: undefined, ...linkFields(lender.stagedAs) }
  if (lender.entry?.type !== 'file') throw corrupt('a hard link leads to no file before it')
  lender.stagedAs = pathOf(entry)
  const { path, path_b64 } = entry
  return { ...lender.entry, path, path_b64 }
}
