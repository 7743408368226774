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
    warnings: () => run.writer.tally.warnings(),
    unreadable: () => run.writer.tally.unreadable,
  }
}

class ArchiveRun {
  readonly writer: ArchiveWriter
  readonly #options: ArchiveOptions
  readonly #hardLinks = new HardLinks()
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
    const first = member.kind === 'bare' ? undefined : this.#hardLinks.firstName(member.header.path, member.inode)
    if (first !== undefined) {
      if (member.kind === 'large') member.file.close()
      const header: MemberHeader = { ...member.header, type: 'hardlink', size: 0, link: first }
      return writer.list(describeMember({ kind: 'bare', header }, writer.beginMember(header)))
    }
    const place = writer.beginMember(member.header)
    if (member.kind === 'small') writer.add(member.content)
    if (member.kind === 'large') yield* writer.pass(this.#watched(member.file.content()))
    writer.endMember(member.header.size)
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

async function openRoot(path: string): Promise<{ root: Folder; names: NameList }> {
  let root: Folder | undefined
  try {
    root = await Folder.open(fromText(path))
    return { root, names: await root.list() }
  } catch (cause) {
    root?.close()
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
