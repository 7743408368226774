import type { FileEntry } from '../domain/file-list.ts'
import { quoted, type Bytes } from './bytes.ts'
import { isInArchive, pathOf } from './file-list.ts'
import { LeftOut } from './left-out.ts'
import type { SelectedPaths } from './selected-paths.ts'

/** What a ranged read of a file takes beside its own bytes: the rest of the frames at its ends. */
const RANGE_OVERHEAD_BYTES = 4 * 1024 * 1024
/** Ranged reads are taken where they read less than this part of the archive; otherwise one stream is simpler and as fast. */
const WORTHWHILE = 0.5

export interface Survey {
  entries: number
  files: number
  bytes: number
  /** Of the archive, by ranged reads of these files alone; Infinity where they can't all be reached so. */
  rangedBytes: number
  /** Selected, and not in the archive; each with why. */
  unknown: ReadonlyMap<Bytes, string>
  leftOut: string[]
}

export const readsInRanges = (survey: Survey, archivePlainSize: number): boolean =>
  survey.rangedBytes < archivePlainSize * WORTHWHILE

export const unknownPaths = ({ unknown }: Survey): string[] =>
  [...unknown].map(([path, why]) => `${quoted(path)} ${why}`)

/** Goes through a file list: what of it is selected (null: everything), and what reading that takes. */
export async function surveyList(
  list: AsyncIterable<FileEntry>,
  selected: SelectedPaths | null,
  archiveKey: string,
): Promise<Survey> {
  const survey = { entries: 0, files: 0, bytes: 0, rangedBytes: 0 }
  const leftOut = new LeftOut()
  const missing = new Map<Bytes, string>()
  for (const path of selected?.named ?? []) missing.set(path, 'is not in the backup')
  let position = 0
  for await (const entry of list) {
    const path = pathOf(entry)
    if (selected !== null && !selected.holds(path)) continue
    leftOut.count(entry)
    if (!isInArchive(entry)) {
      if (missing.has(path))
        missing.set(
          path,
          `was not backed up (${entry.flag ?? ''}${entry.reason === undefined ? '' : `: ${entry.reason}`})`,
        )
      continue
    }
    missing.delete(path)
    survey.entries++
    if (entry.type === 'file' || entry.type === 'hardlink') survey.files++
    survey.bytes += entry.size
    if (entry.type !== 'file') continue
    const { offset = -1, artifact } = entry
    const gap = offset - position
    const isNext = gap >= 0 && gap < RANGE_OVERHEAD_BYTES
    survey.rangedBytes += artifact === archiveKey ? entry.size + (isNext ? gap : RANGE_OVERHEAD_BYTES) : Infinity
    position = offset + entry.size
  }
  return { ...survey, unknown: missing, leftOut: leftOut.lines() }
}
