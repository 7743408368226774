import { CofferError } from '../errors.ts'
import { readForeignHeader } from './foreign-header.ts'
import { parsePax, type PaxRecords } from './pax-records.ts'
import { readUstar, type UstarHeader } from './ustar-header.ts'

const BLOCK = 512
/** A path of 4,096 bytes, Linux's longest, fits many times. */
const LARGEST_PAX_HEADER = 64 * 1024

export type TarEntryType = 'file' | 'hardlink' | 'symlink' | 'char' | 'block' | 'directory' | 'fifo'

/** One member. `path` and `link` are raw bytes as written, a directory's path without the '/' at its end. */
export interface TarEntry {
  path: Buffer
  type: TarEntryType
  size: number
  mode: number
  uid: number
  gid: number
  mtimeNs: bigint
  link: Buffer | null
  /** Where the content begins in the archive. */
  offset: number
}

export type TarEvent = { type: 'entry'; entry: TarEntry } | { type: 'data'; chunk: Buffer } | { type: 'entry-end' }

const TYPES: Record<string, TarEntryType> = {
  '0': 'file',
  '\0': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'char',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
}

/** Headers that speak of the next member: pax, GNU's long name and long link; and pax's of all members, which says nothing that is kept. */
type ExtensionFlag = 'x' | 'L' | 'K' | 'g'

const isExtension = (flag: string, isForeign: boolean): flag is ExtensionFlag =>
  flag === 'x' || (isForeign && (flag === 'L' || flag === 'K' || flag === 'g'))

/**
 * Parses POSIX pax tar as it flows by; a `foreign` one also as GNU tar and older ones write it. Takes nothing on trust: checksums, sizes,
 * types that it doesn't know, the two zero blocks at the end and that only zeros follow them. @throws CofferError ARCHIVE_INVALID
 */
export class TarParser {
  #state: 'header' | 'pax' | 'data' | 'padding' | 'ended' = 'header'
  #position = 0
  /** Bytes of the present state that are still to come. */
  #remaining = BLOCK
  #parts: Buffer[] = []
  #padding = 0
  #extension: ExtensionFlag = 'x'
  #pax: PaxRecords | null = null
  #zeroBlocks = 0
  readonly #isForeign: boolean

  constructor({ isForeign = false }: { isForeign?: boolean } = {}) {
    this.#isForeign = isForeign
  }

  push(chunk: Buffer): TarEvent[] {
    const events: TarEvent[] = []
    for (let offset = 0; offset < chunk.length;) {
      const piece = this.#state === 'ended' ? chunk.subarray(offset) : chunk.subarray(offset, offset + this.#remaining)
      offset += piece.length
      this.#position += piece.length
      this.#remaining -= piece.length
      this.#take(piece, events)
    }
    return events
  }

  /** To be called after the last byte: throws unless the archive was complete. */
  end(): void {
    if (this.#state !== 'ended') throw invalid(`it ends after ${this.#position} bytes, in the middle`)
  }

  #take(piece: Buffer, events: TarEvent[]): void {
    switch (this.#state) {
      case 'ended':
        if (piece.some((byte) => byte !== 0)) throw invalid('something follows its end')
        return
      case 'data':
        events.push({ type: 'data', chunk: piece })
        if (this.#remaining === 0) this.#endContent(events)
        return
      case 'padding':
        if (this.#remaining === 0) this.#expect('header', BLOCK)
        return
      case 'header':
      case 'pax':
        this.#parts.push(piece)
        if (this.#remaining > 0) return
        this.#block(this.#parts.length === 1 ? piece : Buffer.concat(this.#parts), events)
    }
  }

  #block(block: Buffer, events: TarEvent[]): void {
    this.#parts = []
    if (this.#state === 'pax') {
      this.#extend(block)
      this.#afterContent()
    } else if (block.every((byte) => byte === 0)) {
      this.#zeroBlocks++
      if (this.#pax) throw invalid('an extended header is followed by no member')
      this.#expect(this.#zeroBlocks === 2 ? 'ended' : 'header', BLOCK)
    } else {
      if (this.#zeroBlocks > 0) throw invalid(`a lone zero block lies before byte ${this.#position}`)
      this.#header((this.#isForeign ? readForeignHeader : readUstar)(block, invalid), events)
    }
  }

  #header(header: UstarHeader, events: TarEvent[]): void {
    if (isExtension(header.flag, this.#isForeign)) {
      if (header.flag === 'x' && this.#pax) throw invalid('two extended headers belong to one member')
      if (header.size === 0 || header.size > LARGEST_PAX_HEADER) {
        throw invalid(`an extended header claims ${header.size} bytes`)
      }
      this.#extension = header.flag
      this.#padding = paddingOf(header.size)
      this.#expect('pax', header.size)
      return
    }
    const entry = this.#entry(header)
    this.#pax = null
    events.push({ type: 'entry', entry })
    this.#padding = paddingOf(entry.size)
    this.#expect('data', entry.size)
    if (entry.size === 0) this.#endContent(events)
  }

  #extend(block: Buffer): void {
    if (this.#extension === 'x') this.#pax = parsePax(block, invalid)
    else if (this.#extension === 'g') {
      const { path, link, size } = parsePax(block, invalid)
      if (path ?? link ?? size) throw invalid('a header for all members gives them a name or a size')
    } else {
      const end = block.indexOf(0)
      const name = Buffer.from(end === -1 ? block : block.subarray(0, end))
      this.#pax = { ...this.#pax, [this.#extension === 'L' ? 'path' : 'link']: name }
    }
  }

  #entry(header: UstarHeader): TarEntry {
    const type = TYPES[header.flag]
    if (type === undefined) throw invalid(`a member has the unknown type ${JSON.stringify(header.flag)}`)
    const merged = { ...header, ...this.#pax }
    if (type !== 'file' && merged.size !== 0) throw invalid(`a ${type} claims ${merged.size} bytes of content`)
    const isSlashed = type === 'directory' && merged.path.length > 1 && merged.path.at(-1) === 0x2f
    return {
      path: isSlashed ? merged.path.subarray(0, -1) : merged.path,
      type,
      size: merged.size,
      mode: merged.mode,
      uid: merged.uid,
      gid: merged.gid,
      mtimeNs: merged.mtimeNs,
      link: type === 'symlink' || type === 'hardlink' ? merged.link : null,
      offset: this.#position,
    }
  }

  #endContent(events: TarEvent[]): void {
    events.push({ type: 'entry-end' })
    this.#afterContent()
  }

  #afterContent(): void {
    if (this.#padding > 0) this.#expect('padding', this.#padding)
    else this.#expect('header', BLOCK)
  }

  #expect(state: 'header' | 'pax' | 'data' | 'padding' | 'ended', bytes: number): void {
    this.#state = state
    this.#remaining = bytes
  }
}

const paddingOf = (size: number) => (BLOCK - (size % BLOCK)) % BLOCK

export function invalid(what: string): CofferError {
  return new CofferError('ARCHIVE_INVALID', `the archive is not a valid tar: ${what}`)
}
