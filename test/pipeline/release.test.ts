import { markAsUntransferable } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import { createAgeHeader, generateIdentity } from '../../shared/pipeline/age-header.ts'
import { decryptAge, encryptAge } from '../../shared/pipeline/age-stream.ts'
import { ByteReader } from '../../shared/pipeline/byte-reader.ts'
import { holdBack } from '../../shared/pipeline/chunks.ts'
import { writeToChild } from '../../shared/pipeline/child.ts'
import { compressFrames, decompressFrames } from '../../shared/pipeline/zstd-frames.ts'
import { CofferError } from '../../shared/errors.ts'
import { release, releasing } from '../../shared/release.ts'
import { drain, inPieces, sampleBytes, sha256 } from '../support/streams.ts'

const CHUNK = 64 * 1024

/** A chunk that has its memory to itself. */
const chunkOf = (bytes: Buffer) => {
  const chunk = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(chunk)
  return chunk
}

async function* kept(bytes: Buffer, chunks: Buffer[]) {
  for (let at = 0; at < bytes.length; at += CHUNK) {
    const chunk = chunkOf(bytes.subarray(at, at + CHUNK))
    chunks.push(chunk)
    yield await Promise.resolve(chunk)
  }
}

const released = (chunks: readonly Buffer[]) => chunks.filter((chunk) => chunk.length === 0).length

describe('release', () => {
  test('gives back a chunk that has its memory to itself, also with room to spare behind it', () => {
    const whole = Buffer.allocUnsafeSlow(CHUNK)
    const spared = Buffer.allocUnsafeSlow(CHUNK + 64).subarray(0, CHUNK)
    release(whole)
    release(spared)
    expect([whole.buffer.byteLength, spared.buffer.byteLength]).toEqual([0, 0])
  })

  test('leaves alone what somebody else may hold a part of', () => {
    const shared = chunkOf(sampleBytes(3 * CHUNK))
    for (const view of [shared.subarray(CHUNK), shared.subarray(0, CHUNK), shared.subarray(1)]) release(view)
    const pooled = Buffer.from('small, and cut out of a pool')
    release(pooled)
    release(new Uint8Array(new SharedArrayBuffer(CHUNK)))
    expect(shared.equals(sampleBytes(3 * CHUNK))).toBe(true)
    expect(pooled.toString()).toBe('small, and cut out of a pool')
  })

  test('leaves alone what its maker lets nobody take', () => {
    const kept = chunkOf(sampleBytes(CHUNK))
    markAsUntransferable(kept.buffer)
    release(kept)
    expect(kept.equals(sampleBytes(CHUNK))).toBe(true)
  })

  test('what is held back is not given away with what goes before it', async () => {
    const bytes = sampleBytes(2 * CHUNK - 10)
    const given = []
    for await (const chunk of holdBack(kept(bytes, []), CHUNK)) {
      given.push(Buffer.from(chunk))
      release(chunk)
    }
    expect(Buffer.concat(given).equals(bytes)).toBe(true)
  })

  test('a stream gives a chunk back when the next is asked for, not before', async () => {
    const chunks: Buffer[] = []
    const lengths = []
    for await (const chunk of releasing(kept(sampleBytes(3 * CHUNK), chunks)))
      lengths.push([chunk.length, released(chunks)])
    expect(lengths).toEqual([
      [CHUNK, 0],
      [CHUNK, 1],
      [CHUNK, 2],
    ])
    expect(released(chunks)).toBe(3)
  })
})

describe('who has a chunk last releases it, and the bytes are the same', () => {
  const plain = sampleBytes(50 * CHUNK + 1)

  test('a program that was fed', async () => {
    const chunks: Buffer[] = []
    const onFailure = () => new CofferError('DUMP_FAILED', 'the bytes are others')
    const script = `test "$(sha256sum | cut -c1-64)" = "$WANT"`
    const env = { PATH: process.env.PATH ?? '', WANT: sha256(plain) }
    await writeToChild({ program: 'sh', args: ['-c', script], env, onFailure }, kept(plain, chunks))
    expect(released(chunks)).toBe(50)
  })

  test('age and zstd, in both directions', async () => {
    const age = await createAgeHeader([(await generateIdentity()).recipient])
    const counts: number[][] = []
    const counted = (make: (source: AsyncIterable<Buffer>) => AsyncIterable<Buffer>, bytes: Buffer) => {
      const chunks: Buffer[] = []
      return drain(make(kept(bytes, chunks))).finally(() => counts.push([released(chunks), chunks.length]))
    }
    const frames = await drain(compressFrames(inPieces(plain, CHUNK)))
    const sealed = await counted((source) => encryptAge(source, age), frames)
    const opened = await counted((source) => decryptAge(source, () => age.fileKey), sealed)
    const inflated = await counted((source) => decompressFrames(source, plain.length), frames)
    expect([opened.equals(frames), inflated.equals(plain)]).toEqual([true, true])
    for (const [back, all] of counts) expect(back).toBeGreaterThanOrEqual((all ?? 0) - 2)
    expect(counts).toHaveLength(3)
  })

  test('a reader, which gives out copies only', async () => {
    const chunks: Buffer[] = []
    const reader = new ByteReader(kept(plain, chunks))
    const first = await reader.take(100)
    const over = await reader.take(3 * CHUNK)
    const line = await reader.takeLine(10 * CHUNK)
    const rest = await drain(reader.rest())
    expect(Buffer.concat([first, over, line, rest]).equals(plain)).toBe(true)
    expect(released(chunks)).toBe(3)
  })
})
