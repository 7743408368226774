import { createHash, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PartFiller } from '../../shared/storage/part-filler.ts'
import { planParts } from '../../shared/storage/part-plan.ts'
import { pullBody } from '../../shared/storage/pull-body.ts'
import { chunked } from './conformance.ts'

const MIB = 1024 ** 2
const GIB = 1024 ** 3

test.each([undefined, 0, 64 * MIB, 64 * MIB + 1, 10 * GIB, 500 * GIB])(
  'parts for %s expected bytes hold over 500 GiB, from 5 to 64 MiB each, none smaller than the one before',
  (expectedSize) => {
    const { sizeOf, capacity } = planParts(10_000, expectedSize)
    expect(capacity).toBeGreaterThan(500 * GIB)
    const sizes = Array.from({ length: 10_000 }, (_, index) => sizeOf(index + 1))
    expect(sizes.every((size, index) => size >= (sizes[index - 1] ?? 5 * MIB) && size <= 64 * MIB)).toBe(true)
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(capacity)
  },
)

test.each([
  [undefined, 16],
  [0, 5],
  [64 * MIB, 5],
  [64 * MIB + 1, 16],
  [10 * GIB, 16],
  [40 * GIB, 35],
  [500 * GIB, 64],
])('%s expected bytes begin with parts of %s MiB', (expectedSize, mib) => {
  expect(planParts(10_000, expectedSize).sizeOf(1)).toBe(mib * MIB)
})

test('an expected size up to 75 GiB fits in parts that are all alike, with a quarter to spare', () => {
  for (let expected = 65 * MIB; expected < 75 * GIB; expected *= 2) {
    const { sizeOf } = planParts(10_000, expected)
    expect(sizeOf(Math.ceil((expected * 1.25) / sizeOf(1)))).toBe(sizeOf(1))
  }
})

test('an expected size makes the parts as large as they may be, and refuses nothing', () => {
  for (const maxParts of [1, 2, 3, 7, 100, 1000]) {
    const largest = 64 * MIB * maxParts
    expect(planParts(maxParts, largest).capacity).toBe(largest)
    expect(planParts(maxParts, 1000 * largest).capacity).toBe(largest)
  }
})

test('a body is cut into the same parts however it is chunked', async () => {
  const oneRun = async (bytes: Buffer, chunkSize: number, slabSize: number) => {
    const filler = new PartFiller(pullBody(chunked(bytes, chunkSize), new AbortController().signal))
    const slab = Buffer.alloc(slabSize)
    const parts: string[] = []
    for (;;) {
      const part = await filler.fill(slab)
      parts.push(part.bytes.toString('hex'))
      expect(part.md5.equals(createHash('md5').update(part.bytes).digest())).toBe(true)
      if (part.isLast) return parts
    }
  }
  const sizes = fc.integer({ min: 0, max: 40 })
  const atLeastOne = fc.integer({ min: 1, max: 12 })
  await fc.assert(
    fc.asyncProperty(sizes, atLeastOne, atLeastOne, async (size, chunkSize, slabSize) => {
      const bytes = randomBytes(size)
      const parts = await oneRun(bytes, chunkSize, slabSize)
      expect(parts.join('')).toBe(bytes.toString('hex'))
      expect(parts.slice(0, -1).every((part) => part.length === slabSize * 2)).toBe(true)
      expect(parts).toEqual(await oneRun(bytes, 1, slabSize))
    }),
  )
})
