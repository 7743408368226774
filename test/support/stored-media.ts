import fs from 'node:fs'
import { pathToFileURL } from 'node:url'
import type { MediaContents } from '../../shared/domain/manifest.ts'
import { generateIdentity } from '../../shared/pipeline/age-header.ts'
import { FileStore } from '../../shared/storage/file-store.ts'
import { takeArchive } from '../../workers/media-archive/take-archive.ts'
import type { TakeContext } from '../../workers/run-processor.ts'
import { configOf, quietLife, type StoredMedia } from './media-restores.ts'

/** Backs up `root` by the worker's own code, into `<folder>/store`. */
export async function storeMedia(root: string, folder: string): Promise<StoredMedia> {
  const { identity, recipient } = await generateIdentity()
  const store = new FileStore(`${folder}/store`)
  fs.mkdirSync(`${folder}/store`, { recursive: true })
  await store.prepare()
  const taken = await takeArchive({
    run: { keyPrefix: 'backup/', last: null, serviceInstance: { prefix: 'DEFAULT' } },
    connection: { url: pathToFileURL(root).href },
    config: configOf(folder, [recipient]),
    recipients: [recipient],
    clock: () => new Date(),
    life: quietLife().life,
    store,
  } as unknown as TakeContext)
  const contents = taken.contents as MediaContents
  return { folder, contents, artifacts: [...taken.artifacts], identity, warnings: [...taken.warnings] }
}
