import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { holdBack, inChunks, mapInOrder } from '../../shared/pipeline/chunks.ts'
import { drain, inPieces, sampleBytes } from '../support/streams.ts'

const tick = () => new Promise((resolve) => setImmediate(resolve))

async function* numbers(count: number) {
  for (let value = 0; value < count; value++) yield await Promise.resolve(value)
}

describe('inChunks', () => {
  test('cuts any pieces into whole chunks and one last that is full or shorter', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(300),
        fc.integer({ min: 1, max: 64 }),
        fc.integer({ min: 1, max: 64 }),
        async (...run) => {
          const [length, size, pieces] = run
          const bytes = sampleBytes(length)
          const chunks = []
          for await (const { bytes: chunk, isLast } of inChunks(inPieces(bytes, pieces), size)) {
            chunks.push({ length: chunk.length, isLast, bytes: Buffer.from(chunk) })
          }
          expect(Buffer.concat(chunks.map((chunk) => chunk.bytes)).equals(bytes)).toBe(true)
          expect(chunks.map((chunk) => chunk.isLast).indexOf(true)).toBe(chunks.length - 1)
          expect(chunks.slice(0, -1).every((chunk) => chunk.length === size)).toBe(true)
          expect(chunks.at(-1)?.length).toBe(length === 0 ? 0 : ((length - 1) % size) + 1)
        },
      ),
    )
  })

  test('fills spare buffers again', async () => {
    const spare: Buffer[] = []
    const used = new Set<ArrayBufferLike>()
    for await (const { bytes } of inChunks(inPieces(sampleBytes(1_000_000), 1000), 100_000, spare)) {
      used.add(bytes.buffer)
      spare.push(bytes)
    }
    expect(used.size).toBeLessThanOrEqual(2)
  })
})

describe('holdBack', () => {
  test.each([1, 7, 64, 1000])('in pieces of %i gives everything in the end', async (pieces) => {
    const bytes = sampleBytes(500)
    for (const held of [0, 1, 63, 64, 65, 499, 500, 501]) {
      expect((await drain(holdBack(inPieces(bytes, pieces), held))).equals(bytes)).toBe(true)
    }
  })

  test.each([1, 7, 64, 1000])(
    'in pieces of %i gives exactly all but the last bytes of a source that fails',
    async (pieces) => {
      const bytes = sampleBytes(500)
      for (const held of [0, 1, 63, 64, 65, 499, 500, 501]) {
        const seen: Buffer[] = []
        const reading = (async () => {
          for await (const chunk of holdBack(failing(bytes, pieces), held)) seen.push(chunk)
        })()
        await expect(reading).rejects.toThrow('the digest differs')
        expect(Buffer.concat(seen).equals(bytes.subarray(0, Math.max(0, 500 - held)))).toBe(true)
      }
    },
  )

  async function* failing(bytes: Buffer, pieces: number) {
    yield* inPieces(bytes, pieces)
    throw new Error('the digest differs')
  }
})

describe('mapInOrder', () => {
  test('keeps the order when later items are done earlier, with no more than the limit at work', async () => {
    let atWork = 0
    let most = 0
    const results = []
    for await (const result of mapInOrder(numbers(20), 3, async (value) => {
      most = Math.max(most, ++atWork)
      for (let ticks = value % 4; ticks >= 0; ticks--) await tick()
      atWork--
      return value
    })) {
      results.push(result)
    }
    expect(results).toEqual(Array.from({ length: 20 }, (_, index) => index))
    expect(most).toBe(3)
  })

  test('throws a failure in its turn, after the results before it and after the rest has come to rest', async () => {
    let atWork = 0
    const results: number[] = []
    const running = (async () => {
      for await (const result of mapInOrder(numbers(20), 4, async (value) => {
        atWork++
        if (value !== 5) await tick()
        atWork--
        if (value === 5) throw new Error('five')
        return value
      })) {
        results.push(result)
      }
    })()
    await expect(running).rejects.toThrow('five')
    expect(results).toEqual([0, 1, 2, 3, 4])
    expect(atWork).toBe(0)
  })
})
