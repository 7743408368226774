import { ARTIFACT_NAMES, type ArtifactKind } from '../../shared/domain/artifact.ts'
import type { MediaContents } from '../../shared/domain/manifest.ts'
import { CofferError } from '../../shared/errors.ts'
import { openArchive } from '../../shared/media/archive.ts'
import { resolveMediaRoot } from '../../shared/media/root.ts'
import { writeArtifact, type WrittenArtifact } from '../../shared/pipeline/write-artifact.ts'
import { mediaPolicy } from '../../shared/media/policy.ts'
import type { TakeContext } from '../run-processor.ts'
import type { TakenBackup } from '../seal.ts'
import { openListFeed } from './list-feed.ts'

/**
 * Archives a media folder into the store. Two artifacts are written at once: the archive, and the list of its files, which the archive
 * produces as it goes; at the end the list is read back from the store to become the archive's last member.
 */
export async function takeArchive(context: TakeContext): Promise<TakenBackup> {
  const { run, connection, config, clock, life } = context
  const takenAt = clock()
  const root = await resolveMediaRoot(connection.url, mediaPolicy(config))
  const feed = openListFeed()
  const failed = new AbortController()
  const signal = AbortSignal.any([life.signal, failed.signal])
  const fail = (error: unknown): never => {
    failed.abort(error)
    feed.fail(error as Error)
    throw error
  }

  const listWritten = write(context, 'file-list', { source: feed.source, signal }).catch(fail)
  const archive = openArchive({
    root,
    artifact: `${run.keyPrefix}${ARTIFACT_NAMES.archive}`,
    signal,
    async appendToList(entry) {
      // Where nobody takes it any more, what ended the list is what must be heard of.
      if (!(await feed.append(entry))) await listWritten
    },
    async closeList() {
      feed.close()
      const list = await listWritten
      return { size: list.record.plain_size, open: () => list.reopen(signal) }
    },
    onProgress: ({ files }) => life.report({ files }),
  })
  life.report({ expected_bytes: run.last?.plain_size ?? null, files: 0 })
  const archiveWritten = write(context, 'archive', {
    source: archive.source,
    inspect: (chunk) => archive.inspect(chunk),
    signal,
    ...(run.last ? { expectedSize: run.last.stored_size } : {}),
    onProgress: ({ plainBytes, storedBytes }) => life.report({ plain_bytes: plainBytes, stored_bytes: storedBytes }),
  }).catch(fail)

  const [written, list] = await bothOrFirstFailure(archiveWritten, listWritten, failed.signal)
  const contents = archive.contents()
  requireNotEmptied(run.serviceInstance.prefix, root, contents, run.last?.files ?? 0)
  return {
    artifacts: [written.record, list.record],
    contents,
    takenAt,
    success: archive.unreadable() > 0 ? 'PARTIAL' : 'SUCCESS',
    warnings: archive.warnings(),
    files: contents.files,
  }
}

type WriteDetails = Omit<Parameters<typeof writeArtifact>[0], 'store' | 'key' | 'kind' | 'recipients'>

const write = (
  { run, store, recipients }: TakeContext,
  kind: ArtifactKind,
  details: WriteDetails,
): Promise<WrittenArtifact> =>
  writeArtifact({
    store,
    key: `${run.keyPrefix}${ARTIFACT_NAMES[kind]}`,
    kind,
    recipients,
    ...details,
  })

/** Waits for both to end, so that nothing writes on afterwards, and tells what went wrong first: the other one only followed. */
async function bothOrFirstFailure<T>(first: Promise<T>, second: Promise<T>, failed: AbortSignal): Promise<[T, T]> {
  const [a, b] = await Promise.allSettled([first, second])
  if (a.status === 'fulfilled' && b.status === 'fulfilled') return [a.value, b.value]
  throw failed.reason
}

function requireNotEmptied(prefix: string, root: string, contents: MediaContents, filesBefore: number): void {
  if (contents.files > 0 || filesBefore === 0) return
  throw new CofferError(
    'MEDIA_EMPTIED',
    `the media folder ${root} of ${prefix} is empty; its last backup had ${filesBefore} file(s)`,
  )
}
