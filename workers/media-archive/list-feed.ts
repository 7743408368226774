import { once } from 'node:events'
import { PassThrough, type Readable } from 'node:stream'
import { encodeFileEntry } from '../../shared/media/file-list.ts'
import type { FileEntry } from '../../shared/domain/file-list.ts'

/** Carries the file list from the archive, which makes it, to the artifact that stores it, without holding it in memory. */
export interface ListFeed {
  /** Resolves when there is room for more; to false when nobody takes the list any more. */
  append(entry: FileEntry): Promise<boolean>
  close(): void
  fail(error: Error): void
  readonly source: Readable
}

const HELD_BYTES = 256 * 1024

export function openListFeed(): ListFeed {
  const pipe = new PassThrough({ highWaterMark: HELD_BYTES })
  const closed = new AbortController()
  pipe.once('close', () => closed.abort())
  // Whoever reads is told by the read. Before the first read nobody would listen, and the error would end the process.
  pipe.on('error', () => undefined)
  return {
    async append(entry) {
      if (pipe.destroyed) return false
      if (!pipe.write(encodeFileEntry(entry)))
        await once(pipe, 'drain', { signal: closed.signal }).catch(() => undefined)
      return !pipe.destroyed
    },
    close: () => void pipe.end(),
    fail: (error) => void pipe.destroy(error),
    source: pipe,
  }
}
