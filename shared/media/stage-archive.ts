import { join } from 'node:path'
import type { MediaContents } from '../domain/manifest.ts'
import { fromText } from './bytes.ts'
import { compareLists, type Comparison } from './compare-lists.ts'
import { finishTree } from './finish-tree.ts'
import { Folder } from './folder.ts'
import { MemberReader, type TreeDestination } from './member-reader.ts'
import { MemberWriter } from './member-writer.ts'
import { NoteFile } from './note-file.ts'
import type { Staging } from './staging.ts'

export interface ArchiveToStage {
  /** The plain tar; must throw at its end when its digest is wrong. */
  source: AsyncIterable<Buffer>
  expected: MediaContents
  signal?: AbortSignal
  onProgress?: (progress: { files: number; bytes: number }) => void
}

export interface Staged {
  files: number
  bytes: number
  warnings: string[]
}

/**
 * Unpacks an archive into the staged tree; afterwards every file equals the archive's list.
 * @throws CofferError ARTIFACT_CORRUPT, RESTORE_FAILED, what the source throws, and the signal's reason
 */
export async function stageArchive(staging: Staging, archive: ArchiveToStage): Promise<Staged> {
  const tree = new MemberWriter(await Folder.open(fromText(staging.tree)))
  let result: { comparison: Comparison; list: NoteFile }
  try {
    result = await readThrough(staging, archive, tree)
  } finally {
    await tree.abandon()
  }
  const { hardLinks, ...report } = result.comparison
  archive.signal?.throwIfAborted()
  await finishTree(fromText(staging.tree), () => result.list.read(), hardLinks)
  return report
}

/** Reads an archive to its end, holds it against its own list, and gives its members to the tree on the way. */
export async function readThrough(
  staging: Staging,
  { source, expected, signal, onProgress }: ArchiveToStage,
  tree: TreeDestination,
): Promise<{ comparison: Comparison; list: NoteFile }> {
  const list = await NoteFile.create(join(staging.notes, 'list'))
  const found = await NoteFile.create(join(staging.notes, 'found'))
  try {
    const reader = new MemberReader({ tree, list, found }, expected)
    for await (const chunk of source) {
      signal?.throwIfAborted()
      await reader.push(chunk)
      onProgress?.({ files: reader.files, bytes: reader.bytes })
    }
    await reader.end()
  } finally {
    list.close()
    found.close()
  }
  return { comparison: await compareLists(list.read(), found.read(), expected), list }
}
