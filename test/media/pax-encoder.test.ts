import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromText } from '../../shared/media/bytes.ts'
import { encodeHeader, END_OF_ARCHIVE, padding, type MemberHeader } from '../../shared/media/pax-encoder.ts'

const PLAIN: MemberHeader = {
  path: 'a/b.jpg',
  type: 'file',
  size: 1234,
  mode: 0o644,
  uid: 1000,
  gid: 100,
  mtimeNs: 1_700_000_000_000_000_000n,
}

/** A header block with its runs of zero bytes shortened. */
const shown = (block: Buffer) =>
  block
    .toString('utf8')
    .replace(/\0{2,}/g, (zeros) => `<${zeros.length}>`)
    .replaceAll('\0', '|')

test('what ustar can say exactly is one ustar header', () => {
  expect(shown(encodeHeader(PLAIN))).toMatchInlineSnapshot(
    `"a/b.jpg<93>0000644|0001750|0000144|00000002322|14524770400|010437| 0<100>ustar|00<64>0000000|0000000<168>"`,
  )
})

test('what it cannot say goes into an extended header before it', () => {
  const header = { ...PLAIN, path: fromText('ü'), uid: 3_000_000, size: 2 ** 34, mtimeNs: -1_500_000_000n }
  const encoded = encodeHeader(header)
  expect([512, 1024, 1536].map((end) => shown(encoded.subarray(end - 512, end)))).toMatchInlineSnapshot(`
    [
      "././@PaxHeader<86>0000644|0000000|0000000|00000000074|00000000000|011474| x<100>ustar|00<64>0000000|0000000<168>",
      "11 path=ü
    20 size=17179869184
    15 uid=3000000
    14 mtime=-1.5
    <452>",
      "ü<98>0000644|0000000|0000144|00000000000|00000000000|010005| 0<100>ustar|00<64>0000000|0000000<168>",
    ]
  `)
  expect(encoded).toHaveLength(1536)
})

test('a name that is not UTF-8 is marked as binary, as POSIX wants it', () => {
  const encoded = encodeHeader({ ...PLAIN, path: 'n\xff' })
  expect(encoded.subarray(512, 1024).toString('latin1').replace(/\0+$/, '')).toBe(
    '21 hdrcharset=BINARY\n11 path=n\xff\n',
  )
})

test.each([
  [100, 512],
  [101, 1536],
])('a path of %i bytes takes %i', (length, bytes) => {
  expect(encodeHeader({ ...PLAIN, path: 'p'.repeat(length) })).toHaveLength(bytes)
})

test.each([
  [0o77777777777, 512],
  [0o77777777777 + 1, 1536],
])('a size of %i takes %i', (size, bytes) => {
  expect(encodeHeader({ ...PLAIN, size })).toHaveLength(bytes)
})

test('the length of an extended record counts its own digits', () => {
  fc.assert(
    fc.property(fc.integer({ min: 101, max: 12_000 }), (length) => {
      const record = encodeHeader({ ...PLAIN, path: 'p'.repeat(length) }).subarray(512)
      const size = Number(record.toString('latin1').split(' ')[0])
      expect(record.toString('latin1', 0, size)).toBe(`${size} path=${'p'.repeat(length)}\n`)
      const blocks = Math.ceil(size / 512) * 512
      expect(record.subarray(size, blocks).every((byte) => byte === 0)).toBe(true)
    }),
  )
})

test.each([0, 1, 511, 512, 513])('content of %i bytes is filled up to whole blocks', (size) => {
  expect((size + padding(size).length) % 512).toBe(0)
  expect(padding(size).length).toBeLessThan(512)
})

test('stock tar lists it as it was meant', () => {
  const content = Buffer.alloc(1234)
  const tar = Buffer.concat([encodeHeader(PLAIN), content, padding(1234), END_OF_ARCHIVE])
  const listed = execFileSync('tar', ['--numeric-owner', '--utc', '--full-time', '-tvf', '-'], {
    input: tar,
    encoding: 'utf8',
  })
  expect(listed).toBe('-rw-r--r-- 1000/100       1234 2023-11-14 22:13:20 a/b.jpg\n')
})
