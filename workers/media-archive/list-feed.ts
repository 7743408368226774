import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { encodeFileEntry } from '../../shared/media/file-list.ts'
import type { FileEntry } from '../../shared/domain/file-list.ts'

/** Carries the file list from the archive, which makes it, to the artifact that stores it, without holding it in memory. */
export interface ListFeed {
  append(entry: FileEntry): Promise<void>
  close(): void
  fail(error: Error): void
  readonly source: AsyncIterable<Buffer>
}

const HELD_BYTES = 256 * 1024

export function openListFeed(): ListFeed {
  const pipe = new PassThrough({ highWaterMark: HELD_BYTES })
  return {
    async append(entry) {
      if (pipe.destroyed) throw pipe.errored ?? new Error('the file list is closed')
      if (!pipe.write(encodeFileEntry(entry))) await once(pipe, 'drain')
    },
    close: () => void pipe.end(),
    fail: (error) => void pipe.destroy(error),
    source: pipe,
  }
}
