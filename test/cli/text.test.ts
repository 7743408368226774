import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  formatBytes,
  formatBytesOf,
  formatCount,
  formatShare,
  formatTime,
  printable,
  printableJson,
  table,
} from '../../cli/text.ts'

const DANGEROUS = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]/u

/** Of any UTF-16 code units, lone surrogates too. */
const anyText = fc.array(fc.nat(0xffff)).map((codes) => String.fromCharCode(...codes))

describe('printable', () => {
  test.each([
    ['\u001b[31mred\u0007', '\\u001b[31mred\\u0007'],
    ['two\nlines\r\tand a tab', 'two\\nlines\\r\\tand a tab'],
    ['\u009b2J a C1 control', '\\u009b2J a C1 control'],
    ['gpj.\u202eexe', 'gpj.\\u202eexe'],
    ['Zürich 東京 👩‍👩‍👧', 'Zürich 東京 👩‍👩‍👧'],
  ])('%j is shown as %j', (text, shown) => {
    expect(printable(text)).toBe(shown)
  })

  test('every control and bidi character becomes its escape', () => {
    const ranges = [
      [0, 0x1f],
      [0x7f, 0x9f],
      [0x61c, 0x61c],
      [0x200e, 0x200f],
      [0x2028, 0x202e],
      [0x2066, 0x2069],
    ] as const
    for (const [from, to] of ranges)
      for (let code = from; code <= to; code++)
        expect(printable(String.fromCharCode(code))).toMatch(/^\\(u[0-9a-f]{4}|[nrt])$/)
  })

  test('no text of any kind gets a control or bidi character to the terminal', () => {
    fc.assert(fc.property(anyText, (text) => !DANGEROUS.test(printable(text))))
  })
})

test('JSON for the terminal has no control characters but line ends, and parses to the same document', () => {
  fc.assert(
    fc.property(fc.array(anyText), (document) => {
      const json = printableJson(document)
      expect(DANGEROUS.test(json.replaceAll('\n', ''))).toBe(false)
      expect(JSON.stringify(JSON.parse(json))).toBe(JSON.stringify(document))
    }),
  )
})

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.0 KiB'],
  [1536, '1.5 KiB'],
  [1024 ** 2 - 1, '1.0 MiB'],
  [2 * 1024 ** 3, '2.0 GiB'],
  [50 * 1024 ** 6, '51200.0 PiB'],
])('%d bytes are written %j', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text)
})

test.each([
  [0, '[--------]  0 %'],
  [0.5, '[####----] 50 %'],
  [0.999, '[#######-] 99 %'],
  [1, '[########] 100 %'],
])('the share %d is drawn %j', (share, text) => {
  expect(formatShare(share)).toBe(text)
})

test.each([
  [512, 1024, '512 B of 1.0 KiB'],
  [1536, 3072, '1.5 of 3.0 KiB'],
  [0, 0, '0 of 0 B'],
  [2048, 1000, '2.0 KiB of 1000 B'],
])('%d of %d bytes are written %j', (bytes, total, text) => {
  expect(formatBytesOf(bytes, total)).toBe(text)
})

test('counts have separators and an s where there is not one', () => {
  expect([0, 1, 1204].map((count) => formatCount(count, 'file'))).toEqual(['0 files', '1 file', '1,204 files'])
})

test('times are UTC to the second, a dash for what has not happened, and what is no time as it is', () => {
  expect(formatTime('2026-08-01T12:20:30.123+02:00')).toBe('2026-08-01 10:20:30Z')
  expect([formatTime(null), formatTime(undefined), formatTime('soon')]).toEqual(['-', '-', 'soon'])
})

test('columns align by characters, also where a cell has escapes or astral characters', () => {
  expect(
    table(
      ['NAME', 'X'],
      [
        ['a\nb', '1'],
        ['𝒳', '2'],
        ['', '3'],
      ],
    ),
  ).toEqual(['NAME  X', 'a\\nb  1', '𝒳     2', '      3'])
})
