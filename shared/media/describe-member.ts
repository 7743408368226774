import type { BigIntStats } from 'node:fs'
import type { FileEntry } from '../domain/file-list.ts'
import { contentTypeOf } from './content-type.ts'
import { linkFields, pathFields } from './file-list.ts'
import type { MemberHeader } from './pax-encoder.ts'
import type { Member } from './read-member.ts'

type Absent = Extract<Member, { kind: 'absent' }>
type Present = Exclude<Member, Absent>

/** The list's line for a member that is in the archive, after its content was written. */
export function describeMember(member: Present, place: { artifact: string; offset: number }): FileEntry {
  const { header } = member
  const entry = { ...identityOf(header), ...(header.link === undefined ? {} : linkFields(header.link)) }
  if (member.kind === 'bare') return entry
  const contentType = contentTypeOf(header.path)
  return {
    ...entry,
    sha256: member.kind === 'small' ? member.sha256 : member.file.sha256,
    ...(contentType === undefined ? {} : { content_type: contentType }),
    ...place,
    ...flagOf(member),
  }
}

export function describeAbsent(member: Absent): FileEntry {
  const { path, type, flag, reason, stats } = member
  return { ...pathFields(path), type, size: 0, ...attributesOf(stats), flag, reason }
}

function identityOf(header: MemberHeader): FileEntry {
  return {
    ...pathFields(header.path),
    type: header.type,
    size: header.size,
    mode: header.mode,
    uid: header.uid,
    gid: header.gid,
    mtime_ns: String(header.mtimeNs),
  }
}

function attributesOf(stats: BigIntStats | undefined): Pick<FileEntry, 'mode' | 'uid' | 'gid' | 'mtime_ns'> {
  if (!stats) return { mode: 0, uid: 0, gid: 0, mtime_ns: '0' }
  return {
    mode: Number(stats.mode & 0o7777n),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    mtime_ns: String(stats.mtimeNs),
  }
}

function flagOf(member: Extract<Present, { kind: 'small' | 'large' }>): Pick<FileEntry, 'flag' | 'reason'> {
  if (member.kind === 'small') return member.changed ? { flag: 'changed' } : {}
  const { changed, failure } = member.file
  if (failure !== null) return { flag: 'unreadable', reason: `${failure} while it was read, the rest is zeros` }
  return changed ? { flag: 'changed' } : {}
}
