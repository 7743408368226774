import { isUtf8 } from 'node:buffer'
import { isAscii, toBuffer, type Bytes } from './bytes.ts'

export const BLOCK = 512

export type MemberType = 'file' | 'hardlink' | 'symlink' | 'directory'

const TYPE_FLAGS: Record<MemberType, string> = { file: '0', hardlink: '1', symlink: '2', directory: '5' }

export interface MemberHeader {
  /** Relative, without a '/' at the end. */
  path: Bytes
  type: MemberType
  size: number
  /** Permission bits, with setuid, setgid and sticky. */
  mode: number
  uid: number
  gid: number
  mtimeNs: bigint
  /** Of a symlink or hardlink. */
  link?: Bytes
}

/** The bytes before a member's content: a ustar header, and before it a pax extended header for what ustar can't say exactly. */
export function encodeHeader(member: MemberHeader): Buffer {
  const path = member.type === 'directory' ? `${member.path}/` : member.path
  const link = member.link ?? ''
  const seconds = floorSeconds(member.mtimeNs)
  const records: [string, Buffer][] = [
    ...textRecord('path', path),
    ...textRecord('linkpath', link),
    ...numberRecord('size', member.size, 0o77777777777),
    ...numberRecord('uid', member.uid, 0o7777777),
    ...numberRecord('gid', member.gid, 0o7777777),
  ]
  const exactSeconds = seconds * 1_000_000_000n === member.mtimeNs && seconds >= 0n && seconds <= 0o77777777777n
  if (!exactSeconds) records.push(['mtime', Buffer.from(decimalSeconds(member.mtimeNs))])
  const fields = { ...member, path, link, seconds: Number(seconds), flag: TYPE_FLAGS[member.type] }
  return records.length === 0 ? ustar(fields) : Buffer.concat([extended(records), ustar(fields)])
}

/** What fills a content of this size up to a whole block. */
export function padding(size: number): Buffer {
  return Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK)
}

export const END_OF_ARCHIVE = Buffer.alloc(2 * BLOCK)

function textRecord(key: string, text: Bytes): [string, Buffer][] {
  return text.length <= 100 && isAscii(text) ? [] : [[key, toBuffer(text)]]
}

function numberRecord(key: string, value: number, largest: number): [string, Buffer][] {
  return value <= largest ? [] : [[key, Buffer.from(String(value))]]
}

function floorSeconds(ns: bigint): bigint {
  const seconds = ns / 1_000_000_000n
  return seconds * 1_000_000_000n > ns ? seconds - 1n : seconds
}

function decimalSeconds(ns: bigint): string {
  const digits = String(ns < 0n ? -ns : ns).padStart(10, '0')
  const fraction = digits.slice(-9).replace(/0+$/, '')
  return `${ns < 0n ? '-' : ''}${digits.slice(0, -9)}${fraction === '' ? '' : `.${fraction}`}`
}

function extended(records: readonly [string, Buffer][]): Buffer {
  const isText = records.every(([, value]) => isUtf8(value))
  const body = Buffer.concat([
    ...(isText ? [] : [paxRecord('hdrcharset', Buffer.from('BINARY'))]),
    ...records.map(([key, value]) => paxRecord(key, value)),
  ])
  const header = ustar({
    path: '././@PaxHeader',
    link: '',
    flag: 'x',
    size: body.length,
    mode: 0o644,
    uid: 0,
    gid: 0,
    seconds: 0,
  })
  return Buffer.concat([header, body, padding(body.length)])
}

/** `<length> <key>=<value>\n`, where the length counts its own digits. */
function paxRecord(key: string, value: Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from('\n')])
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length
  return Buffer.concat([Buffer.from(String(length)), rest])
}

interface UstarFields {
  path: Bytes
  link: Bytes
  flag: string
  size: number
  mode: number
  uid: number
  gid: number
  seconds: number
}

/** Values that don't fit are cut here and given exactly by the extended header before. */
function ustar(fields: UstarFields): Buffer {
  const block = Buffer.alloc(BLOCK)
  block.write(fields.path.slice(0, 100), 0, 'latin1')
  octal(block, 100, 8, fields.mode)
  octal(block, 108, 8, fields.uid)
  octal(block, 116, 8, fields.gid)
  octal(block, 124, 12, fields.size)
  octal(block, 136, 12, fields.seconds)
  block.write(fields.flag, 156, 'latin1')
  block.write(fields.link.slice(0, 100), 157, 'latin1')
  block.write('ustar\x0000', 257, 'latin1')
  octal(block, 329, 8, 0)
  octal(block, 337, 8, 0)
  block.fill(' ', 148, 156)
  let sum = 0
  for (const byte of block) sum += byte
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}

function octal(block: Buffer, offset: number, width: number, value: number): void {
  const digits = width - 1
  const fits = value >= 0 && value < 8 ** digits
  block.write((fits ? value : 0).toString(8).padStart(digits, '0'), offset, 'latin1')
}
