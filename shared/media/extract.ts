import { join } from 'node:path'
import { CofferError } from '../errors.ts'
import type { MediaContents } from '../domain/manifest.ts'
import { fromText } from './bytes.ts'
import { compareLists } from './compare-lists.ts'
import { finishTree } from './finish-tree.ts'
import { Folder } from './folder.ts'
import { MemberReader } from './member-reader.ts'
import { MemberWriter } from './member-writer.ts'
import { NoteFile } from './note-file.ts'
import { openStaging, type Staging } from './staging.ts'
import { errnoOf } from './system-calls.ts'

export interface ExtractOptions {
  /** The plain tar; must throw at its end when its digest is wrong. */
  source: AsyncIterable<Buffer>
  /** An empty folder, or a path where one can be made. */
  target: string
  expected: MediaContents
  signal?: AbortSignal
  onProgress?: (progress: { files: number; bytes: number }) => void
}

export interface Extracted {
  files: number
  bytes: number
  warnings: string[]
}

/**
 * Restores an archive into an empty folder. Everything lies in a hidden folder first and gets the target's name only after the source has
 * ended well and every file equals the archive's list; a failure or abort leaves the target as it was.
 * @throws CofferError TARGET_NOT_EMPTY, ARTIFACT_CORRUPT, RESTORE_FAILED, what the source throws, and the signal's reason
 */
export async function extractIntoEmpty(options: ExtractOptions): Promise<Extracted> {
  const staging = await named(options.target, () => openStaging(options.target, options.expected.bytes))
  try {
    return await named(options.target, () => extractInto(staging, options))
  } catch (error) {
    // The first failure is the one to tell, also when cleaning up after it fails.
    await staging.discard().catch(() => undefined)
    throw error
  }
}

async function extractInto(staging: Staging, options: ExtractOptions): Promise<Extracted> {
  const list = await NoteFile.create(join(staging.notes, 'list'))
  const found = await NoteFile.create(join(staging.notes, 'found'))
  const tree = new MemberWriter(await Folder.open(fromText(staging.tree)))
  try {
    await readAll(new MemberReader({ tree, list, found }, options.expected), options)
  } finally {
    await tree.abandon()
    list.close()
    found.close()
  }
  const { hardLinks, ...report } = await compareLists(list.read(), found.read(), options.expected)
  options.signal?.throwIfAborted()
  await finishTree(fromText(staging.tree), () => list.read(), hardLinks)
  options.signal?.throwIfAborted()
  await staging.commit()
  return report
}

async function readAll(reader: MemberReader, { source, signal, onProgress }: ExtractOptions): Promise<void> {
  for await (const chunk of source) {
    signal?.throwIfAborted()
    await reader.push(chunk)
    onProgress?.({ files: reader.files, bytes: reader.bytes })
  }
  await reader.end()
}

/** A failed system call becomes RESTORE_FAILED that names the target; every other error passes. */
async function named<T>(target: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const errno = errnoOf(error)
    if (error instanceof CofferError || !/^E[A-Z0-9]+$/.test(errno)) throw error
    throw new CofferError('RESTORE_FAILED', `the restore into ${target} failed (${errno})`, { cause: error })
  }
}
