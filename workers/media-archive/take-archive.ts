import { CofferError } from '../../shared/errors.ts'
import type { Archive } from '../../shared/media/archive-writer.ts'
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
  requireNotEmptied(run.serviceInstance.prefix, root, archive, run.last?.files ?? 0)
  return {
    artifacts,
    contents,
    takenAt,
    success: archive.unreadable() > 0 ? 'PARTIAL' : 'SUCCESS',
    warnings: archive.warnings(),
    files: contents.files,
  }
}

function requireNotEmptied(prefix: string, root: string, archive: Archive, filesBefore: number): void {
  if (archive.contents().files > 0 || filesBefore === 0) return
  const before = `its last backup had ${filesBefore} file(s)`
  if (archive.unreadable() > 0) {
    const [first = ''] = archive.warnings()
    throw new CofferError('MEDIA_UNREADABLE', `nothing of ${root} of ${prefix} could be read (${first}); ${before}`)
  }
  throw new CofferError('MEDIA_EMPTIED', `the media folder ${root} of ${prefix} is empty; ${before}`)
}
