import { readdir } from 'node:fs/promises'
import type { MediaContents } from '../../shared/domain/manifest.ts'
import { CofferError } from '../../shared/errors.ts'
import { naming } from '../../shared/media/extract.ts'
import { mediaPolicy } from '../../shared/media/policy.ts'
import { recoverTree, restoreTree } from '../../shared/media/restore-tree.ts'
import { resolveMediaTarget } from '../../shared/media/root.ts'
import { stageArchive } from '../../shared/media/stage-archive.ts'
import { readPlain } from './restore-part.ts'
import type { RestorePart, Restorer } from './restorer.ts'

const rootOf = (part: RestorePart<MediaContents>) => resolveMediaTarget(part.connection.url, mediaPolicy(part.config))

/** Restores an archive over a folder; every file is compared with the list before anything in the folder is touched. */
export const mediaRestorer: Restorer<MediaContents> = {
  async preflight(part) {
    const names = await readdir(await rootOf(part)).catch(() => [])
    return { isEmpty: names.length === 0, method: 'staged, then moved in', findings: [], leftOut: [] }
  },
  recover: async (part) => recoverTree(await rootOf(part), part.id),
  async restore(part) {
    const root = await rootOf(part)
    const { signal } = part.life
    const { report } = await naming(root, () =>
      restoreTree({
        root,
        id: part.id,
        paths: null,
        neededBytes: part.contents.bytes,
        stage: (staging) =>
          stageArchive(staging, {
            source: readPlain(part, 'archive'),
            expected: part.contents,
            signal,
            onProgress: ({ files }) => part.life.report({ files }),
          }),
        signal,
      }),
    )
    return { ...report }
  },
  confirm: () => Promise.resolve(),
  undo: () => Promise.reject(new CofferError('CONFLICT', 'nothing of the old state is kept')),
}
