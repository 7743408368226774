import { readdir } from 'node:fs/promises'
import type { MediaContents } from '../../shared/domain/manifest.ts'
import { CofferError } from '../../shared/errors.ts'
import { extractIntoEmpty } from '../../shared/media/extract.ts'
import { resolveMediaTarget } from '../../shared/media/root.ts'
import { mediaPolicy } from '../../shared/media/policy.ts'
import { readPlain } from './restore-part.ts'
import type { RestorePart, Restorer } from './restorer.ts'

const isEmpty = async (part: RestorePart<MediaContents>) => {
  const target = await resolveMediaTarget(part.connection.url, mediaPolicy(part.config))
  return (await readdir(target).catch(() => [])).length === 0
}

/** Restores an archive into an empty folder; every file is compared with the list before the folder gets its name. */
export const mediaRestorer: Restorer<MediaContents> = {
  async preflight(part) {
    const empty = await isEmpty(part)
    return {
      isEmpty: empty,
      method: 'into an empty folder',
      findings: empty ? [] : ['it is not empty'],
      leftOut: [],
    }
  },
  recover: async (part) => ((await isEmpty(part)) ? 'as-before' : 'restored'),
  async restore(part) {
    const report = await extractIntoEmpty({
      source: readPlain(part, 'archive'),
      target: await resolveMediaTarget(part.connection.url, mediaPolicy(part.config)),
      expected: part.contents,
      signal: part.life.signal,
      onProgress: ({ files }) => part.life.report({ files }),
    })
    return { ...report }
  },
  confirm: () => Promise.resolve(),
  undo: () => Promise.reject(new CofferError('CONFLICT', 'nothing of the old state is kept')),
}
