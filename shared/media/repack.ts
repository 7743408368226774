import { createHash, type Hash } from 'node:crypto'
import { FileEntry } from '../domain/file-list.ts'
import type { MediaContents } from '../domain/manifest.ts'
import { ArchiveWriter, listMemberFor, type Archive, type ArchiveOutput } from './archive-writer.ts'
import { fromBuffer, quoted, type Bytes } from './bytes.ts'
import { describeMember } from './describe-member.ts'
import { LONGEST_LINE } from './file-list.ts'
import type { MemberHeader, MemberType } from './pax-encoder.ts'
import { RepackNames } from './repack-names.ts'
import { invalid, TarParser, type TarEntry, type TarEvent } from './tar-parser.ts'

export interface RepackOptions extends ArchiveOutput {
  /** A tar of any maker: POSIX, GNU or older. */
  source: AsyncIterable<Buffer>
}

/** A member whose content flows by. */
interface Current {
  header: MemberHeader
  place: { artifact: string; offset: number }
  sha256: Hash
}

interface Held {
  header: MemberHeader
  chunks: Buffer[]
  size: number
}

/** How an archive by Coffer calls its list of files. */
const LIST_NAME = /^MANIFEST(\.coffer(\.\d+)?)?$/
const NO_CONTENT = Buffer.alloc(0)
/** (uid_t) -1, by which chown leaves the owner alone. */
const NOBODY = 2 ** 32 - 1
/** Of Linux, in bytes. */
const LONGEST_NAME = 255
const LONGEST_PATH = 4095
const NEWLINE = 10

/**
 * Turns somebody else's tar into an archive as Coffer makes them, in constant memory but for 16 bytes a name: names without `./`, in the
 * order that they came, with the list of files as last member. A list that Coffer has put in earlier is replaced.
 * @throws ARCHIVE_INVALID for what does not parse, names that lead out of the folder or come twice, devices, and links to what is not there
 */
export function openRepack(options: RepackOptions): Archive {
  const run = new Repack(options)
  return {
    source: run.produce(),
    inspect: (chunk) => run.writer.check.inspect(chunk),
    contents: () => run.contents(),
    warnings: () => [...run.warnings(), ...run.writer.tally.warnings()],
    unreadable: () => 0,
  }
}

class Repack {
  readonly writer: ArchiveWriter
  readonly #options: RepackOptions
  readonly #parser = new TarParser({ isForeign: true })
  readonly #names = new RepackNames()
  readonly #likeList = new Set<string>()
  #current: Current | null = null
  /** What may be Coffer's own list, until its first line tells. */
  #held: Held | null = null
  #isReplaced = false
  #isList = false
  #lateFolders = 0
  #members = 0

  constructor(options: RepackOptions) {
    this.#options = options
    this.writer = new ArchiveWriter(options)
  }

  async *produce(): AsyncGenerator<Buffer, void, undefined> {
    for await (const chunk of this.#options.source) {
      this.#options.signal?.throwIfAborted()
      for (const event of this.#parser.push(chunk)) {
        await this.#take(event)
        yield* this.writer.whenFull()
      }
      this.writer.report()
    }
    this.#parser.end()
    if (this.#members === 0) throw invalid('it has no members')
    yield* this.writer.finish(listMemberFor(this.#likeList))
  }

  contents(): MediaContents {
    return this.writer.contents(listMemberFor(this.#likeList))
  }

  warnings(): string[] {
    return [
      ...(this.#isReplaced ? ['it came with a list of its files by Coffer, which a new one replaces'] : []),
      ...(this.#lateFolders > 0
        ? [`${this.#lateFolders} folder(s) came after what is in them: their mode and time are not kept`]
        : []),
    ]
  }

  async #take(event: TarEvent): Promise<void> {
    if (event.type === 'entry') await this.#begin(event.entry)
    else if (event.type === 'data') await this.#content(event.chunk)
    else await this.#end()
  }

  async #begin(entry: TarEntry): Promise<void> {
    const path = RepackNames.normalize(fromBuffer(entry.path))
    if (path === '') {
      if (entry.type === 'directory') return
      throw invalid(`a ${entry.type} has no name`)
    }
    const header = { ...headerOf(entry), path }
    if (entry.type === 'hardlink') header.link = this.#linkTarget(path, entry)
    if (entry.type === 'file' && LIST_NAME.test(path)) {
      this.#held = { header, chunks: [], size: 0 }
      return
    }
    await this.#beginMember(header)
  }

  async #beginMember(header: MemberHeader): Promise<void> {
    const kind = header.type === 'file' ? 'file' : header.type === 'directory' ? 'folder' : 'other'
    const { missing, wasImplied } = this.#names.add(header.path, kind)
    for (const path of missing) await this.#write({ ...header, path, type: 'directory', size: 0, mode: 0o755 })
    for (const path of [...missing, header.path]) if (LIST_NAME.test(path)) this.#likeList.add(path)
    this.#members++
    if (wasImplied) this.#lateFolders++
    else if (header.type !== 'file') await this.#write(header)
    else this.#current = { header, place: this.writer.beginMember(header), sha256: createHash('sha256') }
  }

  /** A member without content. */
  async #write({ link, ...header }: MemberHeader): Promise<void> {
    const bare = header.type === 'directory' || link === undefined ? header : { ...header, link }
    await this.writer.list(describeMember({ kind: 'bare', header: bare }, this.writer.beginMember(bare)))
  }

  async #content(chunk: Buffer): Promise<void> {
    if (this.#isList) return
    if (this.#held) return this.#hold(this.#held, chunk)
    this.#current?.sha256.update(chunk)
    if (this.#current) this.writer.add(chunk)
  }

  async #hold(held: Held, chunk: Buffer): Promise<void> {
    held.chunks.push(chunk)
    held.size += chunk.length
    if (!chunk.includes(NEWLINE) && held.size <= LONGEST_LINE) return
    if (!beginsWithFileEntry(held.chunks)) return this.#release()
    this.#isList = true
    this.#held = null
  }

  async #end(): Promise<void> {
    if (this.#isList) {
      this.#isList = false
      this.#isReplaced = true
      return
    }
    await this.#release()
    const current = this.#current
    if (!current) return
    this.#current = null
    const { header, place } = current
    this.writer.endMember(header.size)
    const member = { header, content: NO_CONTENT, sha256: current.sha256.digest('hex'), changed: false }
    await this.writer.list(describeMember({ kind: 'small', ...member }, place))
  }

  /** It was no list: a file of the application, then. */
  async #release(): Promise<void> {
    const held = this.#held
    if (!held) return
    this.#held = null
    await this.#beginMember(held.header)
    for (const chunk of held.chunks) await this.#content(chunk)
  }

  #linkTarget(path: Bytes, entry: TarEntry): Bytes {
    const target = RepackNames.normalize(fromBuffer(entry.link ?? Buffer.alloc(0)))
    if (this.#names.isFile(target)) return target
    throw invalid(`${quoted(path)} is a hard link to ${quoted(target)}, which is no file before it`)
  }
}

/** What no Linux could make again is refused now, not when it is needed. */
function requireRestorable({ path, type, uid, gid, link }: TarEntry): void {
  const name = quoted(fromBuffer(path))
  if (Math.max(uid, gid) >= NOBODY) throw invalid(`${name} belongs to ${Math.max(uid, gid)}, which is no user or group`)
  const longest = fromBuffer(path)
    .split('/')
    .reduce((most, component) => Math.max(most, component.length), 0)
  if (longest > LONGEST_NAME || path.length > LONGEST_PATH) throw invalid(`the name ${name} is too long`)
  if (type === 'symlink' && (!link?.length || link.length > LONGEST_PATH))
    throw invalid(`${name} is a symlink to a place that is ${link?.length ? 'too long' : 'empty'}`)
}

function headerOf(entry: TarEntry): MemberHeader {
  const { type, size, mode, uid, gid, mtimeNs } = entry
  const types: readonly string[] = ['file', 'hardlink', 'symlink', 'directory'] satisfies MemberType[]
  if (!types.includes(type))
    throw invalid(`${quoted(fromBuffer(entry.path))} is a ${type}, which is nothing to restore`)
  requireRestorable(entry)
  return {
    path: '',
    type: type as MemberType,
    size,
    mode: mode & 0o7777,
    uid,
    gid,
    mtimeNs,
    ...(entry.link === null ? {} : { link: fromBuffer(entry.link) }),
  }
}

/** Whether the first line is an entry of a list as Coffer writes it. */
function beginsWithFileEntry(chunks: readonly Buffer[]): boolean {
  const text = Buffer.concat(chunks).toString('utf8')
  try {
    return FileEntry.safeParse(JSON.parse(text.slice(0, text.indexOf('\n')))).success
  } catch {
    return false
  }
}
