import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { chunked } from './conformance.ts'
import { IMPATIENT, MIB, startRig } from './s3-rig.ts'

const bytes = randomBytes(2 * MIB)

async function startWithObject(timing = {}) {
  const rig = await startRig({}, { timing })
  await rig.store.write('object', chunked(bytes, 65_536))
  rig.server.requests.length = 0
  return rig
}

const ranges = (rig: Awaited<ReturnType<typeof startRig>>) =>
  rig.server.requests.filter(({ op }) => op === 'GetObject').map(({ headers }) => headers.range)

test.each([
  ['is reset', { kind: 'reset', afterBytes: MIB }],
  ['ends too early', { kind: 'truncate', afterBytes: MIB }],
  ['falls silent', { kind: 'stall', when: 'after-headers' }],
  ['falls silent before its answer', { kind: 'stall', when: 'before-headers' }],
  ['is refused for now', { kind: 'status', status: 503, code: 'SlowDown' }],
] as const)('F31 a connection that %s is taken up where it broke', async (_, effect) => {
  const rig = await startWithObject(effect.kind === 'stall' ? IMPATIENT : {})
  rig.server.fault({ op: 'GetObject', ...effect })
  expect((await buffer(await rig.store.read('object'))).equals(bytes)).toBe(true)
  expect(ranges(rig).length).toBeGreaterThan(1)
})

test('a range is taken up within the range', async () => {
  const rig = await startWithObject()
  rig.server.fault({ op: 'GetObject', kind: 'truncate', afterBytes: 400_000 })
  const held = await buffer(await rig.store.read('object', { start: 100, end: 999_999 }))
  expect(held.equals(bytes.subarray(100, 1_000_000))).toBe(true)
  const [first, second] = ranges(rig)
  expect(first).toBe('bytes=100-999999')
  expect(second).toMatch(/^bytes=\d{4,}-999999$/)
})

test('an object that always ends too early is STORE_UNREACHABLE, never a short read', async () => {
  const rig = await startWithObject()
  rig.server.fault({ op: 'GetObject', kind: 'truncate', afterBytes: 1000 })
  rig.server.fault({ op: 'GetObject', kind: 'truncate', afterBytes: 0, times: Infinity })
  const reading = buffer(await rig.store.read('object'))
  await expect(reading).rejects.toMatchObject({
    code: 'STORE_UNREACHABLE',
    message: `object in bucket test-bucket broke off at byte 1000, ${2 * MIB - 1000} bytes too early`,
  })
})

test('an object that is replaced while it is read is STORE_MISMATCH, not a mixture', async () => {
  const rig = await startWithObject()
  const broken = rig.server.fault({ op: 'GetObject', kind: 'truncate', afterBytes: MIB })
  const stream = await rig.store.read('object')
  await broken.struck
  await rig.store.write('object', chunked(randomBytes(2 * MIB), 65_536))
  await expect(buffer(stream)).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
})

test('a reader slower than the idle time gets every byte', async () => {
  const rig = await startWithObject({ idleMs: 50 })
  const broken = rig.server.fault({ op: 'GetObject', kind: 'stall', when: 'after-headers' })
  const stream = await rig.store.read('object')
  await broken.struck
  expect((await buffer(stream)).equals(bytes)).toBe(true)
})

test('a stream that is destroyed closes its connection', async () => {
  const rig = await startWithObject()
  const stalled = rig.server.fault({ op: 'GetObject', kind: 'stall', when: 'after-headers' })
  const stream: Readable = await rig.store.read('object')
  await stalled.struck
  stream.resume()
  stream.destroy()
  await once(stream, 'close')
  await expect.poll(() => rig.server.requests[0]?.status).toBeNull()
})

test('a signal ends a read in its midst', async () => {
  const rig = await startWithObject()
  rig.server.fault({ op: 'GetObject', kind: 'stall', when: 'after-headers' })
  const stop = new AbortController()
  const stream = await rig.store.read('object', { signal: stop.signal })
  stream.once('data', () => stop.abort(new Error('stopped')))
  await expect(once(stream, 'end')).rejects.toMatchObject({ name: 'AbortError' })
})

test('sixty readers that never read do not keep writers and other readers from their work', async () => {
  const rig = await startWithObject()
  const unread = await Promise.all(Array.from({ length: 60 }, () => rig.store.read('object')))
  await rig.store.write('other', chunked(bytes, 65_536))
  for (const stream of unread) stream.destroy()
  expect((await buffer(await rig.store.read('other'))).equals(bytes)).toBe(true)
})

test('a damaged body passes the store as it is: only the SHA-256 of the artifact tells', async () => {
  const rig = await startWithObject()
  rig.server.fault({ op: 'GetObject', kind: 'flip', at: 5 })
  const held = await buffer(await rig.store.read('object'))
  expect(held.compare(bytes, 0, 5, 0, 5)).toBe(0)
  expect(held[5]).toBe((bytes[5] ?? 0) ^ 1)
})
