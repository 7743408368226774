import { Readable } from 'node:stream'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ArtifactRecord } from '../../shared/domain/artifact.ts'
import { CofferError } from '../../shared/errors.ts'
import { generateIdentity } from '../../shared/pipeline/age-header.ts'
import { readArtifact, verifyStored } from '../../shared/pipeline/read-artifact.ts'
import { writeArtifact } from '../../shared/pipeline/write-artifact.ts'
import { MemoryStore } from '../support/memory-store.ts'
import { drain, inPieces, sampleBytes } from '../support/streams.ts'

const MIB = 1024 * 1024
const plain = sampleBytes(5 * MIB)
const key = 'dump'

let pair: { identity: string; recipient: string }
let store: MemoryStore
let good: Buffer
let record: ArtifactRecord

beforeAll(async () => {
  pair = await generateIdentity()
})
beforeEach(async () => {
  store = new MemoryStore()
  const written = await write(key, plain)
  record = written.record
  good = store.get(key)
})

const write = (at: string, bytes: Buffer, recipients = [pair.recipient]) =>
  writeArtifact({ store, key: at, kind: 'dump', source: inPieces(bytes, 65_536), recipients })

const read = (identities = [pair.identity], as = record) => drain(readArtifact({ store, record: as, identities }))

const codeOf = async (promise: Promise<unknown>) => {
  const error: unknown = await promise.catch((thrown: unknown) => thrown)
  return error instanceof CofferError ? error.code : `no CofferError: ${String(error)}`
}

function flipped(at: number): Buffer {
  const copy = Buffer.from(good)
  copy[at] = (copy[at] ?? 0) ^ 0x10
  return copy
}

describe('a changed object is ARTIFACT_CORRUPT to readers and to verifyStored (F38)', () => {
  const cases: Record<string, () => Buffer | Promise<Buffer>> = {
    empty: () => Buffer.alloc(0),
    'a byte short': () => good.subarray(0, -1),
    'half of it': () => good.subarray(0, good.length / 2),
    'a byte longer': () => Buffer.concat([good, Buffer.alloc(1)]),
    'a bit flipped in the wrapped file key': () => flipped(100),
    'a bit flipped in the stanza of the recipient': () => flipped(35),
    'a bit flipped in the MAC': () => flipped(good.indexOf('\n---') + 10),
    'a bit flipped in the middle': () => flipped(good.length >> 1),
    'a bit flipped in the last tag': () => flipped(good.length - 1),
    'another artifact for the same recipient': async () => {
      await write('other', sampleBytes(5 * MIB - 1))
      return store.get('other')
    },
    'the same bytes, written again': async () => {
      await write('other', plain)
      return store.get('other')
    },
  }
  test.each(Object.entries(cases))('%s', async (_, spoil) => {
    store.objects.set(key, await spoil())
    expect(await codeOf(read())).toBe('ARTIFACT_CORRUPT')
    expect(await codeOf(verifyStored({ store, record }))).toBe('ARTIFACT_CORRUPT')
  })

  test('an unencrypted one with garbage behind it', async () => {
    const { record: open } = await write('open', plain, [])
    store.objects.set('open', Buffer.concat([store.get('open'), Buffer.from('x')]))
    expect(await codeOf(read([], open))).toBe('ARTIFACT_CORRUPT')
  })
})

test.each(['plain_size', 'stored_size', 'plain_sha256', 'stored_sha256'] as const)(
  'an object that differs from the record in %s alone is ARTIFACT_CORRUPT',
  async (field) => {
    const other = typeof record[field] === 'number' ? record[field] + 1 : '0'.repeat(64)
    expect(await codeOf(read([pair.identity], { ...record, [field]: other }))).toBe('ARTIFACT_CORRUPT')
  },
)

test('never yields more than was recorded', async () => {
  let most = 0
  const small = { ...record, plain_size: 3 * MIB }
  const reading = (async () => {
    for await (const chunk of readArtifact({ store, record: small, identities: [pair.identity] })) most += chunk.length
  })()
  expect(await codeOf(reading)).toBe('ARTIFACT_CORRUPT')
  expect(most).toBeLessThanOrEqual(3 * MIB)
})

describe('what is not damage is not called damage', () => {
  test('somebody else is KEY_WRONG, nobody KEY_MISSING', async () => {
    const stranger = await generateIdentity()
    expect(await codeOf(read([stranger.identity]))).toBe('KEY_WRONG')
    store.objects.delete(key) // nothing is read for nobody
    expect(await codeOf(read([]))).toBe('KEY_MISSING')
  })

  test('a connection that breaks is STORE_UNREACHABLE', async () => {
    store.read = () => Promise.resolve(Readable.from(breaking(), { objectMode: false }))
    expect(await codeOf(read())).toBe('STORE_UNREACHABLE')
    expect(await codeOf(verifyStored({ store, record }))).toBe('STORE_UNREACHABLE')
  })

  test('a connection that breaks while the header of a wrong key is examined is STORE_UNREACHABLE', async () => {
    const stranger = await generateIdentity()
    let reads = 0
    const whole = store.read.bind(store)
    store.read = (at) => (++reads === 1 ? whole(at) : Promise.resolve(Readable.from(breaking(), { objectMode: false })))
    expect(await codeOf(read([stranger.identity]))).toBe('STORE_UNREACHABLE')
  })

  test('a missing object is OBJECT_NOT_FOUND', async () => {
    store.objects.delete(key)
    expect(await codeOf(read())).toBe('OBJECT_NOT_FOUND')
  })

  test('an abort is its reason, and the object is closed', async () => {
    const controller = new AbortController()
    const reason = new CofferError('RUN_CANCELLED', 'cancelled')
    const object = await store.read(key)
    object.on('data', () => controller.abort(reason))
    object.pause()
    controller.signal.addEventListener('abort', () => object.destroy(new Error('aborted')))
    store.read = () => Promise.resolve(object)
    const reading = readArtifact({ store, record, identities: [pair.identity], signal: controller.signal })
    await expect(drain(reading)).rejects.toBe(reason)
    expect(object.destroyed).toBe(true)
  })

  test('a reader that stops early closes the object', async () => {
    const object = await store.read(key)
    store.read = () => Promise.resolve(object)
    for await (const chunk of readArtifact({ store, record, identities: [pair.identity] })) {
      expect(chunk.length).toBeGreaterThan(0)
      break
    }
    expect(object.destroyed).toBe(true)
  })

  async function* breaking() {
    yield* inPieces(good.subarray(0, good.length / 2), 40_000)
    throw new CofferError('STORE_UNREACHABLE', 'connection reset')
  }
})
