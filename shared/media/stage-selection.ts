import { join } from 'node:path'
import type { FileEntry } from '../domain/file-list.ts'
import { CofferError } from '../errors.ts'
import { Digest } from '../pipeline/digest.ts'
import type { ArtifactRanges } from '../pipeline/read-range.ts'
import { reached } from '../steps.ts'
import { fromText, quoted, toBuffer, type Bytes } from './bytes.ts'
import { pathOf } from './file-list.ts'
import { finishTree } from './finish-tree.ts'
import { Folder } from './folder.ts'
import { creating, MemberWriter } from './member-writer.ts'
import { NoteFile } from './note-file.ts'
import { componentsOf, corrupt } from './restore-path.ts'
import { selectEntries, type Selected } from './select-entries.ts'
import type { SelectedPaths } from './selected-paths.ts'
import { SelectedWriter } from './selected-writer.ts'
import { readThrough, type ArchiveToStage, type Staged } from './stage-archive.ts'
import type { Staging } from './staging.ts'
import { readsInRanges, surveyList, unknownPaths, type Survey } from './survey-list.ts'
import { mkdir } from './system-calls.ts'
import type { TarEntry } from './tar-parser.ts'
import { TreeCursor } from './tree-cursor.ts'

export interface SelectionToStage extends Omit<ArchiveToStage, 'source'> {
  selected: SelectedPaths
  /** The plain bytes of the list beside the archive; must throw at their end when their digest is wrong. */
  list: AsyncIterable<Buffer>
  archive: {
    key: string
    plainSize: number
    read: () => AsyncIterable<Buffer>
    /** @param bytes that will be read of it */
    openRanges: (bytes: number) => Promise<ArtifactRanges>
  }
}

/**
 * Puts what is selected, and the folders it lies in, into the staged tree: by ranged reads where that is little of the archive, else by reading
 * all of it once. Either way every file equals the list.
 * @throws CofferError REQUEST_INVALID for paths that are not in the archive, ARTIFACT_CORRUPT, RESTORE_FAILED, what the sources throw, and
 * the signal's reason
 */
export async function stageSelection(staging: Staging, selection: SelectionToStage): Promise<Staged> {
  const { selected, archive } = selection
  const list = await NoteFile.create(join(staging.notes, 'file-list'))
  const wanted = await NoteFile.create(join(staging.notes, 'wanted'))
  const writer = new MemberWriter(await Folder.open(fromText(staging.tree)))
  try {
    const listSha256 = await spool(selection.list, list)
    const asked = await surveyList(list.read(), selected, archive.key)
    if (asked.unknown.size > 0) throw new CofferError('REQUEST_INVALID', unknownPaths(asked).join('; '))
    const entries = await selectEntries(list, selected, wanted)
    await makeFolders(staging, wanted)
    const taken = await surveyList(wanted.read(), selected, archive.key)
    if (readsInRanges(taken, archive.plainSize)) await fetchFiles(selection, taken, wanted, writer)
    else await pickFiles(staging, selection, entries, writer, listSha256)
    await finishTree(fromText(staging.tree), () => wanted.read(), entries.hardLinks)
    return { files: taken.files, bytes: taken.bytes, warnings: asked.leftOut }
  } finally {
    await writer.abandon()
    list.close()
    wanted.close()
  }
}

/** Returns its SHA-256. */
async function spool(source: AsyncIterable<Buffer>, list: NoteFile): Promise<string> {
  const digest = new Digest()
  for await (const chunk of source) {
    digest.update(chunk)
    await list.append(chunk)
  }
  await list.finish()
  return digest.sha256()
}

/** All of them first: a borrowed file's bytes may come before its folder. */
async function makeFolders(staging: Staging, wanted: NoteFile): Promise<void> {
  const tree = await Folder.open(fromText(staging.tree))
  const cursor = new TreeCursor(tree)
  try {
    for await (const entry of wanted.read()) {
      if (entry.type !== 'directory') continue
      const path = pathOf(entry)
      const parents = componentsOf(path)
      const name = parents.pop() ?? ''
      const parent = await cursor.goTo(parents)
      await creating(path, () => mkdir(parent.at(name), { mode: 0o700 }))
    }
  } finally {
    cursor.close()
    tree.close()
  }
}

async function fetchFiles(
  { archive, signal, onProgress }: SelectionToStage,
  { bytes: expectedBytes }: Survey,
  wanted: NoteFile,
  writer: MemberWriter,
): Promise<void> {
  const ranges = await archive.openRanges(expectedBytes)
  let files = 0
  let bytes = 0
  for await (const entry of wanted.read()) {
    if (entry.type !== 'file') continue
    await writer.begin(tarEntryOf(entry))
    for await (const chunk of ranges.read(entry.offset ?? 0, entry.size)) {
      signal?.throwIfAborted()
      await writer.write(chunk)
      bytes += chunk.length
      onProgress?.({ files, bytes })
    }
    if ((await writer.end()) !== entry.sha256) throw corrupt(`${quoted(pathOf(entry))} differs from its list`)
    onProgress?.({ files: ++files, bytes })
    reached('media-member-staged')
  }
  await writer.finish()
}

async function pickFiles(
  staging: Staging,
  selection: SelectionToStage,
  { files, borrowed }: Selected,
  writer: MemberWriter,
  listSha256: string,
): Promise<void> {
  const { archive, selected, expected, signal, onProgress } = selection
  const placeOf = (path: Bytes) => (selected.holds(path) ? path : borrowed.get(path)?.stagedAs)
  const tree = new SelectedWriter(writer, placeOf)
  const { list } = await readThrough(
    staging,
    { source: archive.read(), expected, ...(signal && { signal }), ...(onProgress && { onProgress }) },
    tree,
  )
  const digest = new Digest()
  for await (const chunk of list.bytes()) digest.update(chunk)
  if (digest.sha256() !== listSha256 || tree.files !== files) throw corrupt('the list in it is not the one beside it')
}

const tarEntryOf = (entry: FileEntry): TarEntry => ({
  path: toBuffer(pathOf(entry)),
  type: 'file',
  size: entry.size,
  offset: entry.offset ?? 0,
  mode: entry.mode,
  uid: entry.uid,
  gid: entry.gid,
  mtimeNs: BigInt(entry.mtime_ns),
  link: null,
})
