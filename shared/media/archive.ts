import { CofferError } from '../errors.ts'
import type { MediaContents } from '../domain/manifest.ts'
import { ArchiveWriter, listMemberFor, type Archive, type ArchiveOutput } from './archive-writer.ts'
import { fromText } from './bytes.ts'
import { describeAbsent, describeMember } from './describe-member.ts'
import { Folder } from './folder.ts'
import { HardLinks } from './hard-links.ts'
import type { MemberHeader } from './pax-encoder.ts'
import type { NameList } from './name-list.ts'
import type { Member } from './read-member.ts'
import { readMembers } from './read-members.ts'
import { errnoOf } from './system-calls.ts'

export interface ArchiveOptions extends ArchiveOutput {
  /** Real path of the media root, from `resolveMediaRoot`. */
  root: string
}

/**
 * Archives a live folder in constant memory: every member is as long as its header says, whatever happens to the file meanwhile, and no
 * symlink is followed. The root itself is no member; names are relative to it.
 */
export function openArchive(options: ArchiveOptions): Archive {
  const run = new ArchiveRun(options)
  return {
    source: run.produce(),
    inspect: (chunk) => run.writer.check.inspect(chunk),
    contents: () => run.contents(),
    warnings: () => [...run.writer.tally.warnings(), ...run.hardLinks.warnings()],
    unreadable: () => run.writer.tally.unreadable,
  }
}

class ArchiveRun {
  readonly writer: ArchiveWriter
  readonly hardLinks = new HardLinks()
  readonly #options: ArchiveOptions
  #listMember = ''

  constructor(options: ArchiveOptions) {
    this.#options = options
    this.writer = new ArchiveWriter(options)
  }

  async *produce(): AsyncGenerator<Buffer, void, undefined> {
    const { root, names } = await openRoot(this.#options.root)
    this.#listMember = listMemberFor(namesLikeList(names))
    for await (const member of readMembers(root, names)) {
      yield* this.#emit(member)
      this.#options.signal?.throwIfAborted()
      this.writer.report()
    }
    this.writer.tally.refuseIfGone(this.#options.root)
    yield* this.writer.finish(this.#listMember)
  }

  contents(): MediaContents {
    return this.writer.contents(this.#listMember)
  }

  async *#emit(member: Member): AsyncGenerator<Buffer, void, undefined> {
    const { writer } = this
    if (member.kind === 'absent') return writer.list(describeAbsent(member))
    const inode = member.kind === 'bare' ? undefined : member.inode
    const first = this.hardLinks.firstName(member.header.path, inode)
    if (first !== undefined) {
      if (member.kind === 'large') member.file.close()
      const header: MemberHeader = { ...member.header, type: 'hardlink', size: 0, link: first }
      return writer.list(describeMember({ kind: 'bare', header }, writer.beginMember(header)))
    }
    const place = writer.beginMember(member.header)
    if (member.kind === 'small') writer.add(member.content)
    if (member.kind === 'large') yield* writer.pass(this.#watched(member.file.content()))
    writer.endMember(member.header.size)
    if (isDoubtful(member)) this.hardLinks.forget(inode)
    yield* writer.whenFull()
    return writer.list(describeMember(member, place))
  }

  /** Reports while a large file flows by: it may take longer than all others. */
  async *#watched(content: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
    let bytes = this.writer.tally.bytes
    for await (const chunk of content) {
      bytes += chunk.length
      this.writer.report(bytes)
      yield chunk
    }
  }
}

/** Its bytes in the archive are not those of one moment: another name of it gets its own. */
function isDoubtful(member: Member): boolean {
  if (member.kind === 'large') return member.file.changed || member.file.failure !== null
  return member.kind === 'small' && member.changed
}

async function openRoot(path: string): Promise<{ root: Folder; names: NameList }> {
  let root: Folder | undefined
  try {
    root = await Folder.open(fromText(path))
    const real = await root.realPath()
    // A folder above it may have become a link since its real path was judged.
    if (real !== null && real !== fromText(path))
      throw new CofferError('MEDIA_ROOT_MISSING', `the media folder ${path} was moved while it was opened`)
    return { root, names: await root.list() }
  } catch (cause) {
    root?.close()
    if (cause instanceof CofferError) throw cause
    const errno = errnoOf(cause)
    const code = ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errno) ? 'MEDIA_ROOT_MISSING' : 'MEDIA_UNREADABLE'
    throw new CofferError(code, `the media folder ${path} can't be opened (${errno})`, { cause })
  }
}

function namesLikeList(names: NameList): Set<string> {
  const like = new Set<string>()
  for (const name of names) if (name.startsWith('MANIFEST')) like.add(name.replace(/\/$/, ''))
  return like
}
