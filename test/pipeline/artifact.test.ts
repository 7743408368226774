import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import type { ArtifactRecord } from '../../shared/domain/artifact.ts'
import { CofferError } from '../../shared/errors.ts'
import { generateIdentity } from '../../shared/pipeline/age-header.ts'
import { readArtifact, verifyStored } from '../../shared/pipeline/read-artifact.ts'
import { writeArtifact, type WriteArtifactOptions } from '../../shared/pipeline/write-artifact.ts'
import { FileStore } from '../../shared/storage/file-store.ts'
import { MemoryStore } from '../support/memory-store.ts'
import { drain, inPieces, sampleBytes, sha256 } from '../support/streams.ts'

const MIB = 1024 * 1024
const key = 'divio/shop/live/dump.pgdump.zst.age'

let store: MemoryStore
let pair: { identity: string; recipient: string }

beforeAll(async () => {
  pair = await generateIdentity()
})
beforeEach(() => {
  store = new MemoryStore()
})

const write = (source: AsyncIterable<Uint8Array>, more: Partial<WriteArtifactOptions> = {}) =>
  writeArtifact({ store, key, kind: 'dump', source, recipients: [pair.recipient], ...more })

const read = (record: ArtifactRecord, identities = [pair.identity]) =>
  drain(readArtifact({ store, record, identities }))

test('progress is reported while the store reads the artifact back, which takes as long as writing it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'coffer-artifact-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const store = new FileStore(folder)
  await store.prepare()
  const storedBytes: number[] = []
  const { record } = await write(inPieces(sampleBytes(MIB), 100_000), {
    store,
    onProgress: (progress) => storedBytes.push(progress.storedBytes),
  })
  expect(storedBytes.filter((bytes) => bytes === record.stored_size).length).toBeGreaterThan(
    record.stored_size / (256 * 1024),
  )
})

describe('a whole artifact', () => {
  const plain = sampleBytes(7 * MIB + 12_345)
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'coffer-artifact-'))
    writeFileSync(join(folder, 'key'), pair.identity, { mode: 0o600 })
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  test('is recorded as it lies in the store, and comes back', async () => {
    const { record } = await write(inPieces(plain, 65_536))
    const stored = store.get(key)
    expect(record).toEqual({
      kind: 'dump',
      key,
      plain_size: plain.length,
      plain_sha256: sha256(plain),
      stored_size: stored.length,
      stored_sha256: sha256(stored),
      encodings: ['zstd', 'age'],
    })
    expect((await read(record)).equals(plain)).toBe(true)
    await verifyStored({ store, record })
  })

  test('is read by age | zstd alone', async () => {
    await write(inPieces(plain, 100_000))
    const script = `set -o pipefail; age -d -i '${join(folder, 'key')}' | zstd -d -c`
    const { status, stdout } = spawnSync('bash', ['-c', script], { input: store.get(key), maxBuffer: 1e9 })
    expect(status).toBe(0)
    expect(stdout.equals(plain)).toBe(true)
  })

  test('without recipients is plain zstd', async () => {
    const { record } = await write(inPieces(plain, 100_000), { recipients: [] })
    expect(record.encodings).toEqual(['zstd'])
    const { status, stdout } = spawnSync('zstd', ['-d', '-c'], { input: store.get(key), maxBuffer: 1e9 })
    expect(status).toBe(0)
    expect(stdout.equals(plain)).toBe(true)
    expect((await read(record, [])).equals(plain)).toBe(true)
  })

  test('of zero bytes is possible and comes back', async () => {
    const { record } = await write(inPieces(Buffer.alloc(0)))
    expect(record.plain_size).toBe(0)
    expect(await read(record)).toHaveLength(0)
  })

  test('can be reopened without an identity', async () => {
    const { record, reopen } = await write(inPieces(plain, 100_000))
    expect((await drain(reopen())).equals(plain)).toBe(true)
    const other = await write(inPieces(plain, 100_000), { key: 'other' })
    store.objects.set(key, store.get(other.record.key))
    await expect(drain(reopen())).rejects.toThrow('is not the one that was written')
    expect(record.key).toBe(key)
  })

  test('goes through a folder and back, and an abort leaves nothing there', async () => {
    const files = new FileStore(join(folder, 'store'))
    await files.prepare()
    const { record, reopen } = await write(inPieces(plain, 100_000), { store: files })
    expect((await drain(readArtifact({ store: files, record, identities: [pair.identity] }))).equals(plain)).toBe(true)
    expect((await drain(reopen())).equals(plain)).toBe(true)

    const controller = new AbortController()
    const onProgress = () => controller.abort(new Error('cancelled'))
    const aborted = write(inPieces(plain, 100_000), { store: files, key: 'b/c', signal: controller.signal, onProgress })
    await expect(aborted).rejects.toThrow('cancelled')
    expect(await files.head('b/c')).toBeNull()
    expect(await Array.fromAsync(files.pendingUploads(''))).toEqual([])
  })

  test('shows every plain byte in order to inspect, and its progress', async () => {
    const seen: Buffer[] = []
    const progress: { plainBytes: number; storedBytes: number }[] = []
    const inspect = (chunk: Buffer) => void seen.push(Buffer.from(chunk))
    await write(inPieces(plain, 100_000), { inspect, onProgress: (now) => progress.push(now) })
    expect(Buffer.concat(seen).equals(plain)).toBe(true)
    expect(progress.at(-1)).toEqual({ plainBytes: plain.length, storedBytes: store.get(key).length })
  })
})

describe('a failed write closes the source first and stores nothing', () => {
  const block = sampleBytes(MIB)
  let isClosed = false
  beforeEach(() => {
    isClosed = false
  })
  async function* source() {
    try {
      for (let at = 0; at < 100; at++) yield await Promise.resolve(block)
    } finally {
      await new Promise((resolve) => setImmediate(resolve))
      isClosed = true
    }
  }

  test('when the source fails', async () => {
    const broken = new CofferError('DUMP_FAILED', 'pg_dump exited with 1')
    async function* failing() {
      yield* inPieces(sampleBytes(5 * MIB), 65_536)
      throw broken
    }
    await expect(write(failing())).rejects.toBe(broken)
    expect(store.objects.size).toBe(0)
  })

  test('when inspect throws', async () => {
    const broken = new CofferError('DUMP_INVALID', 'not a dump')
    let count = 0
    const inspect = () => {
      if (++count === 5) throw broken
    }
    await expect(write(source(), { inspect })).rejects.toBe(broken)
    expect(isClosed).toBe(true)
    expect(store.objects.size).toBe(0)
  })

  test('when the store fails in the middle', async () => {
    store.write = async (_, body) => {
      for await (const chunk of body) if (chunk.length > 1000) throw new CofferError('STORE_FULL', 'no space left')
      throw new Error('unreachable')
    }
    await expect(write(source())).rejects.toMatchObject({ code: 'STORE_FULL' })
    expect(isClosed).toBe(true)
  })

  test('when the store refuses before the first byte', async () => {
    store.write = () => Promise.reject(new CofferError('STORE_REFUSED', 'no such bucket'))
    const readable = Readable.from(inPieces(sampleBytes(1000), 10))
    await expect(write(readable)).rejects.toMatchObject({ code: 'STORE_REFUSED' })
    expect(readable.destroyed).toBe(true)
  })

  test('when the store leaves the body where it is', async () => {
    store.write = async (_, body) => {
      await body[Symbol.asyncIterator]().next()
      throw new CofferError('STORE_UNREACHABLE', 'connection reset')
    }
    await expect(write(source(), { recipients: [] })).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' })
    expect(isClosed).toBe(true)
  })

  test('after a grace also when the source is stuck for good', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const stuck: AsyncIterable<Buffer> = {
      [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => undefined) }),
    }
    store.write = (_, body) => {
      void body[Symbol.asyncIterator]().next()
      return Promise.reject(new CofferError('STORE_UNREACHABLE', 'connection reset'))
    }
    const writing = write(stuck, { recipients: [] }).catch((error: unknown) => error)
    await vi.waitUntil(() => vi.getTimerCount() === 1)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(await writing).toMatchObject({ code: 'STORE_UNREACHABLE' })
  })

  test('when the store holds less than was sent', async () => {
    const whole = store.write.bind(store)
    store.write = async (...args) => {
      const written = await whole(...args)
      return { ...written, size: written.size - 1 }
    }
    await expect(write(inPieces(sampleBytes(1000)))).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' })
  })

  test('when it is aborted, with the reason', async () => {
    const controller = new AbortController()
    const reason = new CofferError('RUN_CANCELLED', 'cancelled')
    const onProgress = ({ storedBytes }: { storedBytes: number }) => {
      if (storedBytes > MIB) controller.abort(reason)
    }
    await expect(write(source(), { signal: controller.signal, onProgress })).rejects.toBe(reason)
    expect(isClosed).toBe(true)
    expect(store.objects.size).toBe(0)
  })
})
