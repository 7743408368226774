import { randomUUID } from 'node:crypto'
import { pathToFileURL } from 'node:url'
import type { WorkerConfig } from '../../shared/config.ts'
import type { ArtifactRecord } from '../../shared/domain/artifact.ts'
import type { MediaContents } from '../../shared/domain/manifest.ts'
import { FileStore } from '../../shared/storage/file-store.ts'
import type { Store } from '../../shared/storage/store.ts'
import type { Life } from '../../workers/life.ts'
import type { RestorePart } from '../../workers/restore/restorer.ts'

/** A backup of a folder in a store of its own, as everything that a restore is given. Plain data, so that it can be handed to a process. */
export interface StoredMedia {
  folder: string
  contents: MediaContents
  artifacts: ArtifactRecord[]
  identity: string
  warnings: string[]
}

/** A life that nobody ends, and what was told to it. */
export function quietLife(signal = new AbortController().signal) {
  const told = { files: 0, plain_bytes: 0, expected_bytes: 0, allMoved: false }
  const life: Life = {
    signal,
    report: (update) => void Object.assign(told, update),
    allMoved: () => void (told.allMoved = true),
    beginSealing: () => undefined,
    isSealing: false,
    end: () => Promise.resolve(),
  }
  return { life, told }
}

export const configOf = (folder: string, recipients: string[] = []) =>
  ({
    COFFER_MEDIA_ROOTS: ['/'],
    COFFER_DATA_DIR: `${folder}/data`,
    COFFER_STORAGE_URL: pathToFileURL(`${folder}/store`).href,
    COFFER_AGE_RECIPIENTS: recipients,
  }) as unknown as WorkerConfig

export interface PartOptions {
  root: string
  paths?: string[]
  id?: string
  store?: Store
  life?: Life
}

export function partOf(
  { folder, contents, artifacts, identity }: StoredMedia,
  { root, paths = [], id = randomUUID(), life = quietLife().life, store }: PartOptions,
): RestorePart<MediaContents> {
  return {
    id,
    attempt: 1,
    contents,
    artifacts,
    identities: [identity],
    selection: { schemas: [], tables: [], paths },
    connection: { url: pathToFileURL(root).href },
    egress: 'installation',
    config: configOf(folder),
    life,
    store: store ?? new FileStore(`${folder}/store`),
  }
}
