import { ARTIFACT_NAMES, type ArtifactKind, type ArtifactRecord } from '../../shared/domain/artifact.ts'
import type { Archive, ArchiveOutput } from '../../shared/media/archive-writer.ts'
import { writeArtifact, type WrittenArtifact } from '../../shared/pipeline/write-artifact.ts'
import type { TakeContext } from '../run-processor.ts'
import { openListFeed } from './list-feed.ts'

/**
 * Streams an archive into the store. Two artifacts are written at once: the archive, and the list of its files, which the archive
 * produces as it goes; at the end the list is read back from the store to become the archive's last member.
 */
export async function storeArchive(
  context: TakeContext,
  open: (output: ArchiveOutput) => Archive,
): Promise<{ archive: Archive; artifacts: ArtifactRecord[] }> {
  const { run, life } = context
  const feed = openListFeed()
  const failed = new AbortController()
  const signal = AbortSignal.any([life.signal, failed.signal])
  const fail = (error: unknown): never => {
    failed.abort(error)
    feed.fail(error as Error)
    throw error
  }

  const listWritten = write(context, 'file-list', { source: feed.source, signal }).catch(fail)
  const archive = open({
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
  return { archive, artifacts: [written.record, list.record] }
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
