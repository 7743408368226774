import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toBuffer } from '../../shared/media/bytes.ts'
import { encodeHeader, END_OF_ARCHIVE, padding, type MemberHeader } from '../../shared/media/pax-encoder.ts'
import { TarParser, type TarEntry, type TarEvent } from '../../shared/media/tar-parser.ts'
import { archive, scratch } from '../support/media-archives.ts'
import { look, makeZoo } from '../support/media-zoo.ts'

function parse(tar: Buffer, size = tar.length): TarEvent[] {
  const parser = new TarParser()
  const events: TarEvent[] = []
  for (let offset = 0; offset < tar.length; offset += size) {
    events.push(...parser.push(tar.subarray(offset, offset + size)))
  }
  parser.end()
  return events
}

/** The members with their content. */
function members(events: readonly TarEvent[]): { entry: TarEntry; content: Buffer }[] {
  const found: { entry: TarEntry; content: Buffer[] }[] = []
  for (const event of events) {
    if (event.type === 'entry') found.push({ entry: event.entry, content: [] })
    if (event.type === 'data') found.at(-1)?.content.push(event.chunk)
  }
  return found.map(({ entry, content }) => ({ entry, content: Buffer.concat(content) }))
}

const FILE: MemberHeader = { path: 'f', type: 'file', size: 0, mode: 0o644, uid: 1, gid: 2, mtimeNs: 5n }

function tarOf(...files: { header: MemberHeader; content?: Buffer }[]): Buffer {
  const parts = files.flatMap(({ header, content = Buffer.alloc(0) }) => [
    encodeHeader({ ...header, size: content.length }),
    content,
    padding(content.length),
  ])
  return Buffer.concat([...parts, END_OF_ARCHIVE])
}

const SIZES = [0, 1, 511, 512, 513, 1023, 1024, 1025]
const SMALL_TAR = tarOf(
  ...SIZES.map((size) => ({
    header: { ...FILE, path: `${'p'.repeat(size % 130)}-${size}` },
    content: Buffer.alloc(size, 'content'),
  })),
  { header: { ...FILE, path: 'folder', type: 'directory' } },
  { header: { ...FILE, path: 'link', type: 'symlink', link: 't'.repeat(101) } },
)

describe('chunk boundaries', () => {
  const whole = members(parse(SMALL_TAR))

  test.each([1, 2, 511, 512, 513, 1000, 1024, 4096])('the same members come out of chunks of %i bytes', (size) => {
    expect(members(parse(SMALL_TAR, size))).toEqual(whole)
  })

  test('all of them came out', () => {
    expect(whole.map(({ content }) => content.length)).toEqual([...SIZES, 0, 0])
  })
})

test('every cut is seen', () => {
  for (let length = 0; length < SMALL_TAR.length; length++) {
    const parser = new TarParser()
    parser.push(SMALL_TAR.subarray(0, length))
    expect(() => parser.end()).toThrow(expect.objectContaining({ code: 'ARCHIVE_INVALID' }))
  }
})

test('zeros may follow the end, anything else may not', () => {
  expect(members(parse(Buffer.concat([SMALL_TAR, Buffer.alloc(10_240)])))).toHaveLength(SIZES.length + 2)
  expect(() => parse(Buffer.concat([SMALL_TAR, Buffer.alloc(600), Buffer.from('x')]))).toThrow(
    'something follows its end',
  )
})

const spoiled = (offset: number, text: string, fixChecksum = true) => {
  const tar = Buffer.from(tarOf({ header: { ...FILE, mtimeNs: 0n }, content: Buffer.from('abc') }))
  tar.write(text, offset, 'latin1')
  if (fixChecksum) {
    tar.fill(' ', 148, 156)
    const sum = tar.subarray(0, 512).reduce((total, byte) => total + byte, 0)
    tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  }
  return tar
}
const pax = (body: string, size = body.length) => {
  const tar = Buffer.from(tarOf({ header: { ...FILE, path: 'p'.repeat(101) } }))
  tar.fill(0, 512, 1024).write(body, 512, 'latin1')
  tar.write(size.toString(8).padStart(11, '0'), 124, 'latin1')
  tar.fill(' ', 148, 156)
  const sum = tar.subarray(0, 512).reduce((total, byte) => total + byte, 0)
  tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return tar
}

test.each<[string, Buffer, string]>([
  ['a flipped bit in a header', spoiled(0, 'g', false), 'checksum'],
  ['another magic', spoiled(257, 'ustar  '), 'mark of ustar'],
  ['an unknown type', spoiled(156, 'S'), 'unknown type "S"'],
  ['a global header', spoiled(156, 'g'), 'unknown type "g"'],
  ['a size that is no octal number', spoiled(124, '0000000000x'), 'octal'],
  ['a base-256 size', spoiled(124, '\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff'), 'octal'],
  ['a folder with content', spoiled(156, '5'), 'claims 3 bytes'],
  ['a symlink with content', spoiled(156, '2'), 'claims 3 bytes'],
  ['a lone zero block', Buffer.concat([Buffer.alloc(512), SMALL_TAR]), 'lone zero block'],
  ['an extended header at the end', Buffer.concat([pax('9 path=x\n').subarray(0, 1024), END_OF_ARCHIVE]), 'no member'],
  [
    'two extended headers in a row',
    Buffer.concat([pax('9 path=x\n').subarray(0, 1024), pax('9 path=x\n')]),
    'two extended',
  ],
  ['a huge extended header', pax('9 path=x\n', 8_000_000_000), 'claims 8000000000 bytes'],
  ['an empty extended header', pax('', 0), 'claims 0 bytes'],
  ['a record without a newline', pax('9 path=xy'), 'malformed'],
  ['a record longer than the header', pax('99 path=x\n'), 'malformed'],
  ['a record of no length', pax('0 path=x\n'), 'malformed'],
  ['a record of negative length', pax('-9 path=x\n'), 'malformed'],
  ['a record without a key', pax('5 =x\n'), 'malformed'],
  ['a negative size', pax('11 size=-1\n'), 'size is "-1"'],
  ['a size beyond what is exact', pax('29 size=99999999999999999999\n'), 'size is "999'],
  ['an mtime that is no number', pax('13 mtime=now\n'), 'mtime is "now"'],
  ['a zero byte in a path', pax('12 path=a\0b\n'), 'zero byte'],
  ['a sparse member', pax('22 GNU.sparse.major=1\n'), 'sparse'],
])('%s is refused', (_, tar, message) => {
  expect(() => parse(tar)).toThrow(message)
  expect(() => parse(tar, 1)).toThrow(expect.objectContaining({ code: 'ARCHIVE_INVALID' }))
})

test('random bytes are never taken for an archive, and never crash the parser', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 3000 }), fc.nat(SMALL_TAR.length - 1), (noise, at) => {
      const tar = Buffer.from(SMALL_TAR)
      tar.set(noise.subarray(0, tar.length - at), at)
      try {
        parse(tar, 700)
      } catch (error) {
        expect(error).toMatchObject({ code: 'ARCHIVE_INVALID' })
      }
    }),
  )
})

const bytes = fc
  .uint8Array({ minLength: 1, maxLength: 300 })
  .map((array) => Buffer.from(array.map((byte) => byte || 1)))
const name = bytes.map((buffer) => buffer.toString('latin1').replaceAll('/', '_'))

test('whatever header is encoded is what is parsed', () => {
  const header = fc.record({
    path: name,
    mode: fc.nat(0o7777),
    uid: fc.nat(4_294_967_294),
    gid: fc.nat(4_294_967_294),
    mtimeNs: fc.bigInt(-(10n ** 20n), 10n ** 21n),
    link: name,
  })
  const type = fc.constantFrom('file', 'directory', 'symlink', 'hardlink') satisfies fc.Arbitrary<MemberHeader['type']>
  fc.assert(
    fc.property(header, type, ({ link, ...rest }, type) => {
      const isLink = type === 'symlink' || type === 'hardlink'
      const tar = tarOf({ header: { ...rest, type, size: 0, ...(isLink ? { link } : {}) } })
      const [found] = members(parse(tar))
      const offset = tar.length - END_OF_ARCHIVE.length
      const path = toBuffer(rest.path)
      expect(found?.entry).toEqual({ ...rest, path, type, size: 0, link: isLink ? toBuffer(link) : null, offset })
    }),
    { numRuns: 500 },
  )
})

test('a size beyond eight gigabytes is encoded and parsed', () => {
  const size = 64 * 2 ** 30
  const [event] = new TarParser().push(encodeHeader({ ...FILE, size }))
  expect(event).toMatchObject({ type: 'entry', entry: { size } })
})

test('it reads what GNU tar writes as pax', async () => {
  await using place = scratch()
  makeZoo(place.path)
  const tar = execFileSync('tar', ['--format=pax', '-C', place.path, '-cf', '-', '.'], { maxBuffer: 2 ** 30 })
  const found = members(parse(tar)).filter(({ entry }) => entry.type === 'file')
  const before = look(place.path)
  const files = [...before].filter(([path, { type, sameAs }]) => type === 'file' && path === sameAs)
  expect(found).toHaveLength(files.length)
  for (const { entry, content } of found) {
    const path = entry.path.toString('latin1').replace(/^\.\//, '')
    const first = before.get(path)
    expect(first).toMatchObject({ size: content.length, mode: entry.mode, mtimeNs: entry.mtimeNs })
  }
})

test('it reads what the archive writes, byte by byte', async () => {
  await using place = scratch()
  fs.mkdirSync(`${place.path}/folder`)
  fs.writeFileSync(`${place.path}/folder/ünï`, 'content')
  const { tar } = await archive(place.path)
  expect(members(parse(tar, 1))).toEqual(members(parse(tar)))
  expect(members(parse(tar)).map(({ entry }) => entry.path.toString())).toEqual(['folder', 'folder/ünï', 'MANIFEST'])
})
