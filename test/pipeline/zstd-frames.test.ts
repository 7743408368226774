import { spawnSync } from 'node:child_process'
import { constants, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { CofferError } from '../../shared/errors.ts'
import { encodeSeekTable } from '../../shared/pipeline/seekable.ts'
import { compressFrames, decompressFrames } from '../../shared/pipeline/zstd-frames.ts'
import { drain, inPieces, sampleBytes } from '../support/streams.ts'

const FRAME = 2 * 1024 * 1024

const compress = (plain: Buffer, pieces?: number) => drain(compressFrames(inPieces(plain, pieces)))
const decompress = (stored: Buffer, maxBytes = 100 * FRAME, pieces?: number) =>
  drain(decompressFrames(inPieces(stored, pieces), maxBytes))

function zstd(args: string[], input: Buffer): Buffer {
  const { status, stdout, stderr } = spawnSync('zstd', args, { input, maxBuffer: 1e9 })
  if (status !== 0) throw new Error(`zstd: ${stderr.toString()}`)
  return stdout
}

/** The frame sizes that the table at the end tells, as a stranger would read them by the format's description. */
function readSeekTable(stored: Buffer): { compressed: number; plain: number }[] {
  expect(stored.readUInt32LE(stored.length - 4)).toBe(0x8f92eab1)
  expect(stored.readUInt8(stored.length - 5)).toBe(0)
  const count = stored.readUInt32LE(stored.length - 9)
  const start = stored.length - 9 - count * 8
  expect(stored.readUInt32LE(start - 8)).toBe(0x184d2a5e)
  expect(stored.readUInt32LE(start - 4)).toBe(count * 8 + 9)
  return Array.from({ length: count }, (_, index) => ({
    compressed: stored.readUInt32LE(start + index * 8),
    plain: stored.readUInt32LE(start + index * 8 + 4),
  }))
}

describe.each([0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME - 1, 2 * FRAME, 2 * FRAME + 1])(
  '%i plain bytes',
  (size) => {
    const plain = sampleBytes(size)
    let stored: Buffer
    beforeAll(async () => {
      stored = await compress(plain, 65_536)
    })

    test('come back, and zstd -d reads them and finds the checksums', async () => {
      expect((await decompress(stored, size, 65_536)).equals(plain)).toBe(true)
      expect(zstd(['-d', '-c'], stored).equals(plain)).toBe(true)
    })

    test('are the same whatever the size of the pieces', async () => {
      for (const pieces of [1000, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME]) {
        expect((await compress(plain, pieces)).equals(stored)).toBe(true)
        expect((await decompress(stored, size, pieces)).equals(plain)).toBe(true)
      }
    })

    test('lie in frames that the seek table finds, each readable alone', () => {
      const table = readSeekTable(stored)
      expect(table.map((frame) => frame.plain)).toEqual(
        size === 0
          ? [0]
          : Array.from({ length: Math.ceil(size / FRAME) }, (_, at) => Math.min(FRAME, size - at * FRAME)),
      )
      let [storedAt, plainAt] = [0, 0]
      for (const frame of table) {
        const alone = zstd(['-d', '-c'], stored.subarray(storedAt, storedAt + frame.compressed))
        expect(alone.equals(plain.subarray(plainAt, plainAt + frame.plain))).toBe(true)
        storedAt += frame.compressed
        plainAt += frame.plain
      }
    })
  },
)

test('any bytes in any pieces come back, byte by byte too', async () => {
  const bytes = fc.uint8Array({ maxLength: 3000 })
  await fc.assert(
    fc.asyncProperty(bytes, fc.integer({ min: 1, max: 700 }), async (plain, pieces) => {
      const stored = await compress(Buffer.from(plain), pieces)
      expect(Buffer.compare(await decompress(stored, plain.length, 1), plain)).toBe(0)
    }),
    { numRuns: 50 },
  )
})

test('incompressible and constant bytes come back', async () => {
  const { randomBytes } = await import('node:crypto')
  for (const plain of [randomBytes(FRAME + 5), Buffer.alloc(3 * FRAME, 'x')]) {
    const stored = await compress(plain)
    expect((await decompress(stored, plain.length)).equals(plain)).toBe(true)
  }
})

describe('damage', () => {
  const plain = sampleBytes(2 * FRAME + 1000)
  let stored: Buffer
  let first: number
  let tableBytes: number

  beforeAll(async () => {
    stored = await compress(plain)
    const table = readSeekTable(stored)
    first = table[0]?.compressed ?? 0
    tableBytes = 17 + table.length * 8
  })

  const flip = (at: number) => {
    const copy = Buffer.from(stored)
    const index = at < 0 ? stored.length + at : at
    copy[index] = (copy[index] ?? 0) ^ 1
    return copy
  }

  const cases: Record<string, () => Buffer> = {
    'no byte at all': () => Buffer.alloc(0),
    'cut after the first frame': () => stored.subarray(0, first),
    'cut before the seek table': () => stored.subarray(0, -tableBytes),
    'cut in the middle of a frame': () => stored.subarray(0, first + 5000),
    'cut inside a checksum': () => stored.subarray(0, first - 2),
    'cut inside the seek table': () => stored.subarray(0, -1),
    'a byte behind the seek table': () => Buffer.concat([stored, Buffer.alloc(1)]),
    'a frame behind the seek table': () => Buffer.concat([stored, stored.subarray(0, first)]),
    'a second whole file behind the first': () => Buffer.concat([stored, stored]),
    'a frame missing': () => stored.subarray(first),
    'a bit flipped in a magic number': () => flip(0),
    'a bit flipped in a content size': () => flip(6),
    'a bit flipped in the data': () => flip(first + 100_000),
    'a bit flipped in a content checksum': () => flip(first - 1),
    'a bit flipped in the seek table': () => flip(-20),
    'a bit flipped in the last magic number': () => flip(-1),
    'bytes that are not zstd': () => Buffer.from('PGDMP not compressed at all'),
  }

  test.each(Object.entries(cases))('%s is ARTIFACT_CORRUPT', async (_, spoil) => {
    await expect(decompress(spoil())).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' })
    await expect(decompress(spoil(), 100 * FRAME, 4096)).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' })
  })

  test('every single flipped bit of a small file is ARTIFACT_CORRUPT', async () => {
    const small = await compress(sampleBytes(300))
    for (let bit = 0; bit < small.length * 8; bit++) {
      const copy = Buffer.from(small)
      copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const result: unknown = await decompress(copy, 300).catch((error: unknown) => error)
      expect(result instanceof CofferError && result.code, `bit ${bit}`).toBe('ARTIFACT_CORRUPT')
    }
  })

  test('more than was recorded is refused before it is decompressed', async () => {
    let most = 0
    const reading = (async () => {
      for await (const chunk of decompressFrames(inPieces(stored), plain.length - 1)) most += chunk.length
    })()
    await expect(reading).rejects.toThrow('announces more than the')
    expect(most).toBeLessThan(plain.length)
  })

  test('a frame that holds more than it announces is refused', async () => {
    const bomb = Buffer.from(framed({}))
    bomb.writeUInt16LE(300 - 256, 5)
    await expect(decompress(bomb)).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' })
  })

  test('a frame of 100 MiB is refused by what it announces', async () => {
    const bomb = zstdCompressSync(Buffer.alloc(50 * FRAME), {
      pledgedSrcSize: 50 * FRAME,
      params: { [constants.ZSTD_c_checksumFlag]: 1 },
    })
    await expect(decompress(bomb)).rejects.toThrow('a frame announces 104857600 bytes')
  })

  test.each(['checksumFlag', 'contentSizeFlag'] as const)('a frame without its %s is not ours', async (flag) => {
    await expect(decompress(framed({ [constants[`ZSTD_c_${flag}`]]: 0 }))).rejects.toThrow('a frame header is damaged')
  })

  function framed(params: Record<number, number>): Buffer {
    const bytes = zstdCompressSync(plain.subarray(0, 5000), {
      pledgedSrcSize: 5000,
      params: { [constants.ZSTD_c_checksumFlag]: 1, ...params },
    })
    return Buffer.concat([bytes, encodeSeekTable([{ compressed: bytes.length, plain: 5000 }])])
  }

  test('the frame that these cases spoil is good when it is not spoiled', async () => {
    expect((await decompress(framed({}))).equals(plain.subarray(0, 5000))).toBe(true)
  })
})
