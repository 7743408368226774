import { openRepack } from '../../shared/media/repack.ts'
import { storeArchive } from '../media-archive/store-archive.ts'
import type { TakeContext } from '../run-processor.ts'
import type { TakenBackup } from '../seal.ts'
import type { Uploaded } from './take-upload.ts'

/** Stores a tar that somebody else made as an archive of Coffer's own, with its list of files. */
export async function takeUploadedArchive(
  context: TakeContext,
  { source, receivedAt }: Uploaded,
): Promise<TakenBackup> {
  const { archive, artifacts } = await storeArchive(context, (output) => openRepack({ source, ...output }))
  const contents = archive.contents()
  return {
    artifacts,
    contents,
    takenAt: receivedAt,
    success: 'SUCCESS',
    warnings: archive.warnings(),
    files: contents.files,
  }
}
