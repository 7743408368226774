import type { MediaContents } from '../../shared/domain/manifest.ts'
import { extractIntoEmpty } from '../../shared/media/extract.ts'
import { resolveMediaTarget } from '../../shared/media/root.ts'
import { mediaPolicy } from '../../shared/media/policy.ts'
import { readPlain, type RestorePart } from './restore-part.ts'

/** Restores an archive into an empty folder; every file is compared with the list before the folder gets its name. */
export async function restoreMedia(part: RestorePart, contents: MediaContents): Promise<Record<string, unknown>> {
  const report = await extractIntoEmpty({
    source: readPlain(part, 'archive'),
    target: await resolveMediaTarget(part.connection.url, mediaPolicy(part.config)),
    expected: contents,
    signal: part.life.signal,
    onProgress: ({ files }) => part.life.report({ files }),
  })
  return { ...report }
}
