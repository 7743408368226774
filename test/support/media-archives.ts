import { execFileSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FileEntry } from '../../shared/domain/file-list.ts'
import type { MediaContents } from '../../shared/domain/manifest.ts'
import { openArchive, type ArchiveOptions } from '../../shared/media/archive.ts'
import { encodeFileEntry } from '../../shared/media/file-list.ts'
import { removeTree } from '../../shared/media/remove-tree.ts'
import { inPieces } from './streams.ts'

export interface Archived {
  tar: Buffer
  entries: FileEntry[]
  contents: MediaContents
  warnings: string[]
  unreadable: number
}

type Hooks = Partial<Pick<ArchiveOptions, 'signal' | 'onProgress'>> & {
  /** Awaited for each entry, before it is listed: a point where the tree may be changed. */
  onEntry?: (entry: FileEntry, count: number) => Promise<void> | void
  /** Awaited for each chunk before the next is asked for. */
  onChunk?: (chunk: Buffer, count: number) => Promise<void> | void
}

/** Archives a folder whole, with the list kept in memory. */
export async function archive(root: string, { onEntry, onChunk, ...options }: Hooks = {}): Promise<Archived> {
  const entries: FileEntry[] = []
  const run = openArchive({
    root,
    artifact: 'key/media.tar.zst.age',
    ...options,
    async appendToList(entry) {
      await onEntry?.(entry, entries.length)
      entries.push(entry)
    },
    closeList() {
      const list = Buffer.concat(entries.map(encodeFileEntry))
      return Promise.resolve({ size: list.length, open: () => inPieces(list, 65_536) })
    },
  })
  const chunks: Buffer[] = []
  for await (const chunk of run.source) {
    await onChunk?.(chunk, chunks.length)
    run.inspect(chunk)
    chunks.push(chunk)
  }
  return {
    tar: Buffer.concat(chunks),
    entries,
    contents: run.contents(),
    warnings: run.warnings(),
    unreadable: run.unreadable(),
  }
}

/** Unpacks with the system's tar; throws what it says when it fails. */
export function untar(tar: Buffer, folder: string): void {
  fs.mkdirSync(folder, { recursive: true })
  execFileSync('tar', ['-C', folder, '-xpf', '-'], { input: tar, stdio: ['pipe', 'pipe', 'pipe'] })
}

/** A folder of one test's own; with `await using` it is gone afterwards. */
export function scratch(): { path: string; [Symbol.asyncDispose](): Promise<void> } {
  const path = fs.mkdtempSync(join(tmpdir(), 'cm-'))
  return { path, [Symbol.asyncDispose]: () => removeTree(path) }
}

/** Mounts something on a folder; null where nobody may. */
export const mounted = (path: string, options: readonly string[]) => {
  const { status } = spawnSync('mount', [...options, path], { encoding: 'utf8' })
  return status === 0 ? { [Symbol.dispose]: () => void execFileSync('umount', [path]) } : null
}
