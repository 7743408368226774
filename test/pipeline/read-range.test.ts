import fc from 'fast-check'
import { Readable } from 'node:stream'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ArtifactRecord } from '../../shared/domain/artifact.ts'
import { CofferError } from '../../shared/errors.ts'
import { generateIdentity } from '../../shared/pipeline/age-header.ts'
import { openRanges } from '../../shared/pipeline/read-range.ts'
import { encodeSeekTable } from '../../shared/pipeline/seekable.ts'
import { writeArtifact } from '../../shared/pipeline/write-artifact.ts'
import { MemoryStore } from '../support/memory-store.ts'
import { drain, inPieces, sampleBytes } from '../support/streams.ts'

const MIB = 1024 * 1024
const plain = sampleBytes(9 * MIB + 123)

let pair: { identity: string; recipient: string }
let store: MemoryStore
let sealed: ArtifactRecord
let open: ArtifactRecord

let written: Map<string, Buffer>

beforeAll(async () => {
  pair = await generateIdentity()
  store = new MemoryStore()
  sealed = await write('sealed', plain, [pair.recipient])
  open = await write('open', plain, [])
  written = new Map(store.objects)
})
beforeEach(() => {
  store = new MemoryStore()
  for (const [key, bytes] of written) store.objects.set(key, bytes)
})

const write = async (key: string, bytes: Buffer, recipients: string[]) =>
  (await writeArtifact({ store, key, kind: 'archive', source: inPieces(bytes, 65_536), recipients })).record

const ranges = (record: ArtifactRecord, identities = [pair.identity]) => openRanges({ store, record, identities })

const read = async (record: ArtifactRecord, start: number, length: number) =>
  drain((await ranges(record)).read(start, length))

const codeOf = async (promise: Promise<unknown>) => {
  const error: unknown = await promise.catch((thrown: unknown) => thrown)
  return error instanceof CofferError ? error.code : `no CofferError: ${String(error)}`
}

/** Counts what leaves the store. */
function counted() {
  const whole = store.read.bind(store)
  const count = { bytes: 0 }
  store.read = async (key, range) => {
    const object = await whole(key, range)
    object.on('data', (chunk: Buffer) => (count.bytes += chunk.length))
    object.pause()
    return object
  }
  return count
}

test('any range is exactly those bytes, one after the other from one opening', async () => {
  for (const record of [sealed, open]) {
    const artifact = await ranges(record)
    const place = fc.tuple(fc.nat(plain.length), fc.nat(3 * MIB))
    await fc.assert(
      fc.asyncProperty(place, async ([start, most]) => {
        const length = Math.min(most, plain.length - start)
        const found = await drain(artifact.read(start, length))
        expect(found.equals(plain.subarray(start, start + length))).toBe(true)
      }),
      { numRuns: 15 },
    )
  }
})

test.each([
  ['the first byte', 0, 1],
  ['the last byte', plain.length - 1, 1],
  ['nothing', 5, 0],
  ['the end of a frame', 2 * MIB - 1, 1],
  ['the beginning of a frame', 2 * MIB, 1],
  ['a frame exactly', 2 * MIB, 2 * MIB],
  ['a few bytes over the edge of a frame', 4 * MIB - 3, 6],
  ['everything', 0, plain.length],
])('%s comes as it is', async (_, start, length) => {
  for (const record of [sealed, open])
    expect((await read(record, start, length)).equals(plain.subarray(start, start + length))).toBe(true)
})

test('of an empty artifact nothing can be read, which is no error', async () => {
  const empty = await write('empty', Buffer.alloc(0), [pair.recipient])
  expect(await read(empty, 0, 0)).toEqual(Buffer.alloc(0))
})

test('only the header, the table and the frames under a range leave the store', async () => {
  const count = counted()
  await read(sealed, 5 * MIB, 1000)
  const frame = (sealed.stored_size / plain.length) * 2 * MIB
  expect(count.bytes).toBeLessThan(frame + 4 * 65_552 + 16_384)
})

test('small pieces of one frame are fetched once', async () => {
  const artifact = await ranges(sealed)
  await drain(artifact.read(100, 10))
  const count = counted()
  for (let at = 0; at < 2 * MIB; at += 100_000) await drain(artifact.read(at, 10))
  expect(count.bytes).toBe(0)
})

test.each([
  [-1, 1],
  [0, plain.length + 1],
  [plain.length, 1],
  [0.5, 1],
  [Number.MAX_SAFE_INTEGER, 2],
])('the range from %d of %d bytes, which the artifact has not, is ARTIFACT_CORRUPT', async (start, length) => {
  expect(await codeOf(read(sealed, start, length))).toBe('ARTIFACT_CORRUPT')
})

describe('a damaged byte under the range is ARTIFACT_CORRUPT, and no byte of its frame is yielded', () => {
  test.each(['sealed', 'open'])('in an artifact that is %s', async (key) => {
    const record = key === 'sealed' ? sealed : open
    const good = store.get(key)
    for (const part of [0.3, 0.5, 0.6]) {
      const bad = Buffer.from(good)
      const at = Math.floor(good.length * part)
      bad[at] = (bad[at] ?? 0) ^ 1
      store.objects.set(key, bad)
      let yielded = 0
      const reading = (async () => {
        for await (const chunk of (await ranges(record)).read(0, plain.length)) {
          expect(chunk.equals(plain.subarray(yielded, yielded + chunk.length))).toBe(true)
          yielded += chunk.length
        }
      })()
      expect(await codeOf(reading)).toBe('ARTIFACT_CORRUPT')
      expect(yielded % (2 * MIB)).toBe(0)
      expect(yielded).toBeLessThan(plain.length)
    }
  })

  test.each<[string, (good: Buffer) => Buffer]>([
    ['a byte short', (good) => good.subarray(0, -1)],
    ['a chunk short', (good) => good.subarray(0, -65_552)],
    ['a byte longer', (good) => Buffer.concat([good, Buffer.alloc(1)])],
    ['damaged in the MAC of its header', (good) => flipped(good, good.indexOf('\n---') + 10)],
    ['damaged in its wrapped key', (good) => flipped(good, 100)],
    ['damaged in its last tag', (good) => flipped(good, good.length - 1)],
    ['no age file', (good) => Buffer.alloc(good.length)],
  ])('and so is an object that is %s', async (_, spoil) => {
    store.objects.set('sealed', spoil(store.get('sealed')))
    expect(await codeOf(read(sealed, 0, 1))).toBe('ARTIFACT_CORRUPT')
  })

  const flipped = (good: Buffer, at: number) => {
    const bad = Buffer.from(good)
    bad[at] = (bad[at] ?? 0) ^ 0x10
    return bad
  }
})

describe('a seek table that lies is ARTIFACT_CORRUPT', () => {
  const FRAMES = 5
  const TABLE = 8 + FRAMES * 8 + 9
  const entry = (table: number, index: number) => table + 8 + index * 8

  const lies: [string, (bytes: Buffer, table: number) => void][] = [
    ['more frames than bytes', (bytes) => bytes.writeUInt32LE(0xffffffff, bytes.length - 9)],
    ['a frame more', (bytes) => bytes.writeUInt32LE(FRAMES + 1, bytes.length - 9)],
    ['a frame less', (bytes) => bytes.writeUInt32LE(FRAMES - 1, bytes.length - 9)],
    ['checksums that are not there', (bytes) => bytes.writeUInt8(0x80, bytes.length - 5)],
    ['another magic', (bytes) => bytes.writeUInt8(0, bytes.length - 1)],
    ['another size of its own', (bytes, table) => bytes.writeUInt32LE(1, table + 4)],
    ['a frame of 4 GiB', (bytes, table) => bytes.writeUInt32LE(0xffffffff, entry(table, 1) + 4)],
    ['a compressed size of 4 GiB', (bytes, table) => bytes.writeUInt32LE(0xffffffff, entry(table, 1))],
    [
      'a frame that overlaps the next, the sum being right',
      (bytes, table) => {
        bytes.writeUInt32LE(bytes.readUInt32LE(entry(table, 1)) + 1, entry(table, 1))
        bytes.writeUInt32LE(bytes.readUInt32LE(entry(table, 2)) - 1, entry(table, 2))
      },
    ],
    [
      'plain sizes that are shifted, the sum being right',
      (bytes, table) => {
        bytes.writeUInt32LE(2 * MIB + 1, entry(table, 1) + 4)
        bytes.writeUInt32LE(2 * MIB - 1, entry(table, 2) + 4)
      },
    ],
  ]
  test.each(lies)('with %s', async (_, lie) => {
    const bytes = Buffer.from(store.get('open'))
    expect(bytes.readUInt32LE(bytes.length - 9)).toBe(FRAMES)
    lie(bytes, bytes.length - TABLE)
    store.objects.set('open', bytes)
    expect(await codeOf(read(open, 3 * MIB, 2 * MIB))).toBe('ARTIFACT_CORRUPT')
  })

  test('and so is a file without one, and one that is nothing else', async () => {
    const good = store.get('open')
    for (const bytes of [good.subarray(0, -TABLE), encodeSeekTable([]), Buffer.alloc(0)]) {
      store.objects.set('open', bytes)
      expect(await codeOf(read({ ...open, stored_size: bytes.length }, 0, 1))).toBe('ARTIFACT_CORRUPT')
    }
  })
})

describe('what is not damage is not called damage', () => {
  test('somebody else is KEY_WRONG, nobody KEY_MISSING', async () => {
    const stranger = await generateIdentity()
    expect(await codeOf(ranges(sealed, [stranger.identity]))).toBe('KEY_WRONG')
    expect(await codeOf(ranges(sealed, []))).toBe('KEY_MISSING')
  })

  test('a missing object is OBJECT_NOT_FOUND', async () => {
    store.objects.delete('sealed')
    expect(await codeOf(ranges(sealed))).toBe('OBJECT_NOT_FOUND')
  })

  test('a connection that breaks is STORE_UNREACHABLE', async () => {
    const artifact = await ranges(sealed)
    store.read = () => Promise.resolve(Readable.from(breaking(), { objectMode: false }))
    expect(await codeOf(drain(artifact.read(0, MIB)))).toBe('STORE_UNREACHABLE')
  })

  async function* breaking() {
    yield await Promise.resolve(Buffer.alloc(1000))
    throw new CofferError('STORE_UNREACHABLE', 'connection reset')
  }
})
