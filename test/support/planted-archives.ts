import type { FileEntry } from '../../shared/domain/file-list.ts'
import type { MediaContents } from '../../shared/domain/manifest.ts'
import { encodeFileEntry, linkFields, pathFields } from '../../shared/media/file-list.ts'
import { encodeHeader, END_OF_ARCHIVE, padding, type MemberHeader } from '../../shared/media/pax-encoder.ts'
import { sha256 } from './streams.ts'

export interface Planted extends Partial<MemberHeader> {
  path: string
  content?: string
  /** Only in the list, only among the members, or listed as skipped. */
  only?: 'list' | 'members' | 'skipped'
}

export const headerOf = (member: Planted): MemberHeader => ({
  path: member.path,
  type: member.type ?? 'file',
  size: member.size ?? member.content?.length ?? 0,
  mode: member.mode ?? (member.type === 'directory' ? 0o755 : 0o644),
  uid: process.getuid?.() ?? 0,
  gid: process.getgid?.() ?? 0,
  mtimeNs: 0n,
  ...(member.link === undefined ? {} : { link: member.link }),
})

/** An archive by someone who knows the format: the list agrees with the members, checksums and totals are right. */
export function plant(planted: readonly Planted[]): { tar: Buffer; contents: MediaContents } {
  const listed = planted.filter(({ only }) => only !== 'members')
  const entries = listed.map((member): FileEntry => {
    const { type, size, mode, uid, gid, path, link, mtimeNs } = headerOf(member)
    const isFile = type === 'file'
    return {
      ...pathFields(path),
      ...(link === undefined ? {} : linkFields(link)),
      ...{ type, size, mode, uid, gid, mtime_ns: String(mtimeNs) },
      ...(member.only === 'skipped' && { flag: 'skipped' }),
      ...(isFile && { sha256: sha256(Buffer.from(member.content ?? '')), offset: 0 }),
    }
  })
  const list = Buffer.concat(entries.map(encodeFileEntry)).toString()
  const written = planted.filter(({ only }) => only === undefined || only === 'members')
  const parts = [...written, { path: 'MANIFEST', content: list }].flatMap((member) => [
    encodeHeader(headerOf(member)),
    Buffer.from(member.content ?? ''),
    padding(headerOf(member).size),
  ])
  const files = entries.filter(({ type }) => type === 'file' || type === 'hardlink')
  return {
    tar: Buffer.concat([...parts, END_OF_ARCHIVE]),
    contents: {
      kind: 'media',
      list_member: 'MANIFEST',
      entries: entries.length,
      files: files.length,
      bytes: files.reduce((sum, { size }) => sum + size, 0),
      changed: 0,
      skipped: 0,
      unreadable: 0,
    },
  }
}
