import { deflateSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DumpParser, type ParsedDump } from '../../shared/postgres/dump-parser.ts'
import { uncompressArchive } from '../../shared/postgres/uncompress-archive.ts'
import { makeDatabaseZoo } from '../support/database-zoo.ts'
import { createTestDatabase, type TestDatabase } from '../support/databases.ts'
import { pgDump, pgRestoreAsText, recompressed } from '../support/foreign-dumps.ts'
import { query } from '../support/postgres.ts'
import { drain, inPieces } from '../support/streams.ts'

let zoo: TestDatabase
let plain: Buffer
let small: TestDatabase
let smallDump: Buffer

beforeAll(async () => {
  ;[zoo, small] = [await createTestDatabase(), await createTestDatabase()]
  await makeDatabaseZoo(zoo.url)
  await query(
    zoo.url,
    `CREATE TABLE large AS SELECT n, md5(n::text) AS body FROM generate_series(1, 20000) n`,
    `SELECT lo_from_bytea(0, decode(repeat('0a41', 300000), 'hex'))`,
    `CREATE EXTENSION IF NOT EXISTS citext`,
  )
  plain = await pgDump(zoo.url, ['--format=custom', '--compress=0'])
  await query(small.url, `CREATE TABLE a AS SELECT 1 AS n`, `CREATE TABLE empty (n int)`, `SELECT lo_create(7)`)
  smallDump = await pgDump(small.url, ['--format=custom'])
})
afterAll(() => Promise.all([zoo.drop(), small.drop()]))

const uncompress = (dump: Buffer, pieces = 65_536) => drain(uncompressArchive(inPieces(dump, pieces)))

function parse(dump: Buffer): ParsedDump {
  const parser = new DumpParser()
  parser.push(dump)
  return parser.end()
}

/** Everything but the moment that it was made. */
const found = (dump: Buffer) => {
  const { header, ...rest } = parse(dump)
  return { ...rest, header: { ...header, createdAt: null } }
}

describe.each([
  ['gzip, into a file that it went back into', ['--format=custom'], true],
  ['gzip, into a pipe', ['--format=custom', '--compress=9'], false],
  ['nothing, into a file that it went back into', ['--format=custom', '--compress=0'], true],
] as const)('an archive of pg_dump that is compressed by %s', (_how, args, seekable) => {
  test('becomes what pg_dump -Z0 would have made: the same counts, and the same SQL by pg_restore', async () => {
    const result = await uncompress(await pgDump(zoo.url, args, { seekable }))
    expect(found(result)).toEqual(found(plain))
    expect(found(result).extensions).toContainEqual({ name: 'citext', schema: 'public' })
    expect(await pgRestoreAsText(result)).toBe(await pgRestoreAsText(plain))
  })
})

test('the splits of its source make no difference', async () => {
  const whole = await uncompress(smallDump, smallDump.length)
  for (const size of [1, 7, 511]) expect((await uncompress(smallDump, size)).equals(whole)).toBe(true)
})

test('zstd, which pg_dump knows from 16 on, is read too; lz4 is refused with what to do instead', async () => {
  const expected = parse(await uncompress(smallDump))
  const zstd = await uncompress(recompressed(smallDump, 'zstd'))
  expect(parse(zstd)).toEqual({ ...expected, header: { ...expected.header, minor: 15 } })
  await expect(uncompress(recompressed(smallDump, 'lz4'))).rejects.toMatchObject({
    code: 'DUMP_INVALID',
    remedy: expect.stringContaining('--compress=none') as string,
  })
})

describe('what is damaged', () => {
  const outcome = async (dump: Buffer) => {
    try {
      parse(await uncompress(dump))
      return 'accepted'
    } catch (error) {
      return (error as { code?: string }).code ?? String(error)
    }
  }

  test('is refused when it is cut at any length', async () => {
    for (let length = 0; length < smallDump.length; length += 3)
      expect([length, await outcome(smallDump.subarray(0, length))]).toEqual([length, 'DUMP_INVALID'])
  })

  test('is refused when a bit of its compressed data is flipped: zlib has a checksum of its own', async () => {
    const dump = await pgDump(zoo.url, ['--format=custom'])
    const at = dump.length - 20_000
    dump.writeUInt8(dump.readUInt8(at) ^ 4, at)
    expect(await outcome(dump)).toBe('DUMP_INVALID')
  })

  test('is refused when the compressed data go on after their end', async () => {
    const stream = deflateSync(Buffer.from('1\n\\.\n\n\n'))
    const at = smallDump.indexOf(stream.subarray(2, 6)) - 2
    expect(at).toBeGreaterThan(0)
    const length = smallDump.readUInt32LE(at - 4)
    const longer = Buffer.concat([
      smallDump.subarray(0, at + length),
      Buffer.from('xx'),
      smallDump.subarray(at + length),
    ])
    longer.writeUInt32LE(length + 2, at - 4)
    expect(await outcome(longer)).toBe('DUMP_INVALID')
  })

  test('is refused when it is no archive of pg_dump, or one whose pieces claim to be huge', async () => {
    expect(await outcome(Buffer.from('-- PostgreSQL database dump\n'.repeat(9)))).toBe('DUMP_INVALID')
    const stream = deflateSync(Buffer.from('1\n\\.\n\n\n'))
    const huge = Buffer.from(smallDump)
    huge.writeUInt32LE(0xfffffff0, smallDump.indexOf(stream.subarray(2, 6)) - 6)
    expect(await outcome(huge)).toBe('DUMP_INVALID')
  })
})
