import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CofferError } from '../../shared/errors.ts'
import { DumpParser, type ParsedDump } from '../../shared/postgres/dump-parser.ts'
import { createTestDatabase, type TestDatabase } from '../support/databases.ts'
import { dumpWhole } from '../support/dumps.ts'
import { query } from '../support/postgres.ts'

let database: TestDatabase
let dump: Buffer
let parsed: ParsedDump

beforeAll(async () => {
  database = await createTestDatabase()
  await query(
    database.url,
    `CREATE TABLE lines (value text);
     INSERT INTO lines VALUES (E'a\\nb'), (''), (E'\\\\.'), (NULL), (''), ('${'x'.repeat(300)}');
     CREATE TABLE empty (value text);
     CREATE TABLE no_columns ();
     INSERT INTO no_columns DEFAULT VALUES;
     CREATE TABLE ten AS SELECT repeat('y', 4) FROM generate_series(1, 10);
     CREATE SEQUENCE numbers;
     SELECT lo_from_bytea(1001, '\\x0a0a'), lo_create(4294967295)`,
  )
  ;({ bytes: dump } = await dumpWhole(database.url))
  parsed = parse([dump])
})
afterAll(() => database.drop())

function parse(chunks: Iterable<Buffer>): ParsedDump {
  const parser = new DumpParser()
  for (const chunk of chunks) parser.push(chunk)
  return parser.end()
}

function* cut(bytes: Buffer, points: readonly number[]): Generator<Buffer> {
  let from = 0
  for (const point of [...points.toSorted((a, b) => a - b), bytes.length]) {
    yield Buffer.from(bytes.subarray(from, point))
    from = point
  }
}

/** What parsing ends with: the code of its error, or what it found. */
function outcome(bytes: Buffer): ParsedDump | string {
  try {
    return parse([bytes])
  } catch (error) {
    if (error instanceof CofferError) return error.code
    throw error
  }
}

describe('the parser of a dump', () => {
  test('counts rows exactly, whatever their text looks like, and large objects of any id', () => {
    expect(parsed).toMatchObject({
      encoding: 'UTF8',
      tables: [
        { schema: 'public', name: 'empty', rows: 0 },
        { schema: 'public', name: 'lines', rows: 6 },
        { schema: 'public', name: 'no_columns', rows: 1 },
        { schema: 'public', name: 'ten', rows: 10 },
      ],
      sequences: [{ schema: 'public', name: 'numbers' }],
      largeObjects: 2,
      header: { database: database.name },
    })
  })

  test('finds the same byte by byte', () => {
    expect(parse(cut(dump, [...dump.keys()]))).toEqual(parsed)
  })

  test('finds the same in any split', () => {
    const points = fc.array(fc.nat(dump.length), { maxLength: 20 })
    fc.assert(
      fc.property(points, (at) => isDeepStrictEqual(parse(cut(dump, at)), parsed)),
      { numRuns: 200 },
    )
  })

  test('keeps nothing of a chunk: what becomes of it afterwards does not matter', () => {
    const points = fc.array(fc.nat(dump.length), { minLength: 1, maxLength: 20 })
    const parseGone = (chunks: Iterable<Buffer>) => {
      const parser = new DumpParser()
      for (const chunk of chunks) {
        const gone = Buffer.from(chunk)
        parser.push(gone)
        gone.fill(0xff)
      }
      return parser.end()
    }
    fc.assert(
      fc.property(points, (at) => isDeepStrictEqual(parseGone(cut(dump, at)), parsed)),
      { numRuns: 200 },
    )
  })

  test('refuses the dump at every length but its own', () => {
    const accepted = [...dump.keys()].filter((length) => outcome(dump.subarray(0, length)) !== 'DUMP_INVALID')
    expect(accepted).toEqual([])
    expect(outcome(Buffer.concat([dump, Buffer.from([0])]))).toBe('DUMP_INVALID')
    expect(outcome(Buffer.concat([dump, dump]))).toBe('DUMP_INVALID')
  })

  test('ends with a finding or with DUMP_INVALID, never otherwise, whichever bit of the dump flips', () => {
    const refused = [...dump.keys()].filter((at) => {
      const flipped = Buffer.from(dump)
      flipped.writeUInt8(dump.readUInt8(at) ^ (1 << (at % 8)), at)
      return outcome(flipped) === 'DUMP_INVALID'
    })
    expect(refused.length).toBeGreaterThan(dump.length / 5)
    expect(refused.slice(0, 11)).toEqual([0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11])
  })

  test.each([
    ['nothing at all', () => Buffer.alloc(0), 'it ends inside its header'],
    ['a text dump', () => Buffer.from('--\n-- PostgreSQL database dump\n--\n'), 'does not begin with PGDMP'],
    ['a compressed dump', () => changed(12, 9), 'is compressed inside'],
    ['a format newer than known', () => changed(6, 17), 'format 1.17 is not one of 1.12 to 1.16'],
    ['the tar format', () => changed(10, 3), 'is not in the custom format'],
  ])('refuses %s and says so', (_, bytes, message) => {
    expect(() => parse([bytes()])).toThrow(
      expect.objectContaining({ code: 'DUMP_INVALID', message: expect.stringContaining(message) as string }) as Error,
    )
  })

  test('counts the same rows however they are cut into pieces', () => {
    const block = blockOf('ten')
    const data = `${'yyyy\n'.repeat(10)}\\.\n\n\n`
    const sizes = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 })
    fc.assert(
      fc.property(sizes, fc.nat(dump.length), (lengths, at) => {
        const start = dump.subarray(0, block.start + 6)
        const recut = Buffer.concat([start, inPiecesOf(data, lengths), dump.subarray(block.end - 5)])
        return isDeepStrictEqual(parse(cut(recut, [Math.min(at, recut.length)])), parsed)
      }),
      { numRuns: 300 },
    )
  })

  test('refuses rows without the line that ends them, and names the table', () => {
    const end = dump.indexOf(Buffer.from('\\.\n\n\n'), blockOf('ten').start)
    expect(() => parse([changed(end, 0x78)])).toThrow(/the rows of TABLE DATA public\.ten lack their end/)
  })

  test('refuses rows that go on after the line that ends them', () => {
    const { end } = blockOf('ten')
    const more = Buffer.concat([dump.subarray(0, end - 5), Buffer.from('\0\x05\0\0\0yyyy\n'), dump.subarray(end - 5)])
    expect(() => parse([more])).toThrow(/the rows of TABLE DATA public\.ten lack their end/)
  })

  test('refuses a dump that misses the block of one table, and names it', () => {
    const block = blockOf('ten')
    const without = Buffer.concat([dump.subarray(0, block.start), dump.subarray(block.end)])
    expect(() => parse([without])).toThrow(/ends before the data of TABLE DATA public.ten/)
  })

  test('refuses a dump that has the block of one table twice', () => {
    const block = blockOf('ten')
    const twice = Buffer.concat([dump.subarray(0, block.end), dump.subarray(block.start)])
    expect(() => parse([twice])).toThrow(/which is not due/)
  })
})

function inPiecesOf(text: string, lengths: readonly number[]): Buffer {
  const pieces: Buffer[] = []
  for (let at = 0, i = 0; at < text.length; i++) {
    const piece = Buffer.from(text.slice(at, at + (lengths[i % lengths.length] ?? 1)))
    const length = Buffer.alloc(5)
    length.writeUInt32LE(piece.length, 1)
    pieces.push(length, piece)
    at += piece.length
  }
  return Buffer.concat(pieces)
}

function changed(at: number, value: number): Buffer {
  const bytes = Buffer.from(dump)
  bytes.writeUInt8(value, at)
  return bytes
}

/** The ten rows and the terminator, each with five bytes of length; six bytes of block header before, five of end after. */
function blockOf(table: 'ten'): { start: number; end: number } {
  const row = Buffer.from('\0\x05\0\0\0yyyy\n')
  const first = dump.indexOf(row)
  expect(first, table).toBeGreaterThan(0)
  return { start: first - 6, end: first + 10 * row.length + 5 + 5 + 5 }
}

test('tables that belong to an extension are not among those that a restore is compared with', async () => {
  const own = await createTestDatabase()
  try {
    await query(
      own.url,
      'CREATE EXTENSION hstore',
      'CREATE TABLE settings AS SELECT 1 AS one',
      'CREATE TABLE mine AS SELECT 1 AS one',
      'ALTER EXTENSION hstore ADD TABLE settings',
      `UPDATE pg_extension SET extconfig = ARRAY['settings'::regclass::oid], extcondition = ARRAY['']
        WHERE extname = 'hstore'`,
    )
    const { bytes, contents } = await dumpWhole(own.url)
    expect(bytes.includes('COPY public.settings')).toBe(true)
    expect(contents.tables).toEqual([{ schema: 'public', name: 'mine', rows: 1 }])
  } finally {
    await own.drop()
  }
})
