import type { FileEntry } from '../../shared/domain/file-list.ts'
import type { MediaContents } from '../../shared/domain/manifest.ts'
import { encodeFileEntry } from '../../shared/media/file-list.ts'
import { encodeHeader, END_OF_ARCHIVE, padding, type MemberHeader } from '../../shared/media/pax-encoder.ts'
import { openRepack } from '../../shared/media/repack.ts'
import { inPieces } from './streams.ts'

export interface Repacked {
  tar: Buffer
  entries: FileEntry[]
  contents: MediaContents
  warnings: string[]
}

/** Repacks a tar whole, with the list kept in memory. */
export async function repack(tar: Buffer, pieces = 65_536): Promise<Repacked> {
  const entries: FileEntry[] = []
  const run = openRepack({
    source: inPieces(tar, pieces),
    artifact: 'key/media.tar.zst.age',
    appendToList(entry) {
      entries.push(entry)
      return Promise.resolve()
    },
    closeList() {
      const list = Buffer.concat(entries.map(encodeFileEntry))
      return Promise.resolve({ size: list.length, open: () => inPieces(list, 65_536) })
    },
  })
  const chunks: Buffer[] = []
  for await (const chunk of run.source) {
    run.inspect(chunk)
    chunks.push(chunk)
  }
  return { tar: Buffer.concat(chunks), entries, contents: run.contents(), warnings: run.warnings() }
}

export type PlantedMember = Partial<MemberHeader> & { path: string; content?: string }

/** A tar of these members and no list, as somebody who means harm would write it. */
export function plantTar(members: readonly PlantedMember[]): Buffer {
  const parts = members.flatMap(({ content = '', ...member }) => {
    const header = { type: 'file', mode: 0o644, uid: 0, gid: 0, mtimeNs: 0n, size: content.length, ...member } as const
    return [encodeHeader(header), Buffer.from(content, 'latin1'), padding(content.length)]
  })
  return Buffer.concat([...parts, END_OF_ARCHIVE])
}
