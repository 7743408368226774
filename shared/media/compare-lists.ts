import type { FileEntry } from '../domain/file-list.ts'
import type { MediaContents } from '../domain/manifest.ts'
import { quoted } from './bytes.ts'
import { isInArchive, linkOf, pathOf } from './file-list.ts'
import { LeftOut } from './left-out.ts'
import { corrupt } from './restore-path.ts'

export interface Comparison {
  files: number
  bytes: number
  hardLinks: number
  warnings: string[]
}

/**
 * Holds what was extracted against the archive's own list, entry by entry, and the totals against the manifest.
 * @throws CofferError ARTIFACT_CORRUPT naming the first difference
 */
export async function compareLists(
  listed: AsyncIterable<FileEntry>,
  extracted: AsyncGenerator<FileEntry, void, undefined>,
  expected: MediaContents,
): Promise<Comparison> {
  try {
    return await compare(listed, extracted, expected)
  } finally {
    await extracted.return()
  }
}

async function compare(
  listed: AsyncIterable<FileEntry>,
  extracted: AsyncGenerator<FileEntry, void, undefined>,
  expected: MediaContents,
): Promise<Comparison> {
  const totals = { entries: 0, files: 0, bytes: 0, hardLinks: 0 }
  const leftOut = new LeftOut()
  for await (const entry of listed) {
    totals.entries++
    leftOut.count(entry)
    if (!isInArchive(entry)) continue
    const { done, value } = await extracted.next()
    if (done) throw corrupt(`${quoted(pathOf(entry))} is in its list and not in the archive`)
    if (fingerprint(entry) !== fingerprint(value)) throw corrupt(`${quoted(pathOf(value))} differs from its list`)
    if (entry.type === 'file' || entry.type === 'hardlink') totals.files++
    if (entry.type === 'hardlink') totals.hardLinks++
    totals.bytes += entry.size
  }
  const { done, value } = await extracted.next()
  if (!done) throw corrupt(`${quoted(pathOf(value))} is in the archive and not in its list`)
  for (const key of ['entries', 'files', 'bytes'] as const) {
    if (totals[key] !== expected[key])
      throw corrupt(`it holds ${totals[key]} ${key} where ${expected[key]} are recorded`)
  }
  return { files: totals.files, bytes: totals.bytes, hardLinks: totals.hardLinks, warnings: leftOut.lines() }
}

function fingerprint(entry: FileEntry): string {
  const { type, size, mode, uid, gid, mtime_ns: mtime, sha256 } = entry
  return JSON.stringify([pathOf(entry), type, size, mode, uid, gid, mtime, linkOf(entry), sha256])
}
