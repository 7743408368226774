import type { MediaContents } from '../../shared/domain/manifest.ts'
import { CofferError } from '../../shared/errors.ts'
import { openArchive } from '../../shared/media/archive.ts'
import { resolveMediaRoot } from '../../shared/media/root.ts'
import { mediaPolicy } from '../../shared/media/policy.ts'
import type { TakeContext } from '../run-processor.ts'
import type { TakenBackup } from '../seal.ts'
import { storeArchive } from './store-archive.ts'

/** Archives a media folder into the store. */
export async function takeArchive(context: TakeContext): Promise<TakenBackup> {
  const { run, connection, config, clock } = context
  const takenAt = clock()
  const root = await resolveMediaRoot(connection.url, mediaPolicy(config, run.mediaBounds))
  const { archive, artifacts } = await storeArchive(context, (output) => openArchive({ root, ...output }))
  const contents = archive.contents()
  requireNotEmptied(run.serviceInstance.prefix, root, contents, run.last?.files ?? 0)
  return {
    artifacts,
    contents,
    takenAt,
    success: archive.unreadable() > 0 ? 'PARTIAL' : 'SUCCESS',
    warnings: archive.warnings(),
    files: contents.files,
  }
}

function requireNotEmptied(prefix: string, root: string, contents: MediaContents, filesBefore: number): void {
  if (contents.files > 0 || filesBefore === 0) return
  throw new CofferError(
    'MEDIA_EMPTIED',
    `the media folder ${root} of ${prefix} is empty; its last backup had ${filesBefore} file(s)`,
  )
}
