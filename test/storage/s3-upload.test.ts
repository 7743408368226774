import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import type { CofferError } from '../../shared/errors.ts'
import { openStore } from '../../shared/storage/open-store.ts'
import { startS3Server } from '../support/s3-server/server.ts'
import { chunked, collect } from './conformance.ts'
import { IMPATIENT, MIB, QUICK, recordSteps, startRig } from './s3-rig.ts'

const SMALL = { expectedSize: 0 }
const twoParts = randomBytes(6 * MIB)
const body = (bytes = twoParts) => chunked(bytes, 100_000)

describe('requests', () => {
  test('a body under one part is one request, a longer one a multipart upload', async () => {
    const { store, ops } = await startRig()
    await store.write('small', body(randomBytes(5 * MIB - 1)), SMALL)
    expect(ops()).toEqual(['PutObject', 'HeadObject'])
    await store.write('large', body(), SMALL)
    const upload = ['CreateMultipartUpload', 'UploadPart', 'UploadPart', 'CompleteMultipartUpload', 'HeadObject']
    expect(ops().slice(2)).toEqual(upload)
  })

  test('storage class and encryption are asked for, unless they are empty or overridden', async () => {
    const { server, store } = await startRig()
    await store.write('by-default', body(randomBytes(10)), { contentType: 'application/json' })
    await store.write('overridden', body(), { ...SMALL, storageClass: 'GLACIER_IR' })
    await store.write('none', body(randomBytes(10)), { storageClass: '' })
    const held = (key: string) => [...server.bucket.objects].find(([name]) => name.endsWith(key))?.[1]
    expect(held('by-default')).toMatchObject({
      storageClass: 'STANDARD_IA',
      sse: 'AES256',
      contentType: 'application/json',
    })
    expect(held('overridden')).toMatchObject({ storageClass: 'GLACIER_IR', sse: 'AES256' })
    expect(held('none')?.storageClass).toBe('STANDARD')

    const plain = await startRig({ parameters: 'storageClass=&sse=' })
    await plain.store.write('object', body(), SMALL)
    const [create] = plain.server.requests
    expect(create?.headers).not.toHaveProperty('x-amz-storage-class')
    expect(create?.headers).not.toHaveProperty('x-amz-server-side-encryption')
  })

  test.each([
    ['checksum=when_required', 'content-md5', 'x-amz-checksum-crc32', 'etag'],
    ['checksum=when_supported', 'x-amz-checksum-crc32', 'content-md5', 'crc32'],
    ['sse=aws:kms&kmsKeyId=key-1', 'content-md5', 'x-amz-checksum-crc32', 'size'],
  ])('%s: bodies carry %s and never %s; the store confirms by %s', async (parameters, sent, unsent, confirmedBy) => {
    const { server, store } = await startRig({ parameters })
    expect(await store.write('large', body(), SMALL)).toMatchObject({ confirmedBy })
    expect(await store.write('small', body(randomBytes(10)), SMALL)).toMatchObject({ confirmedBy })
    const bodies = server.requests.filter(({ op }) => op === 'UploadPart' || op === 'PutObject')
    expect(bodies).toHaveLength(3)
    for (const { headers } of bodies) {
      expect(headers).toHaveProperty(sent)
      expect(headers).not.toHaveProperty(unsent)
      expect(headers['x-amz-content-sha256']).toMatch(/^[0-9a-f]{64}$/)
    }
  })

  test('the parts grow so that few of them hold much', async () => {
    const { server, store } = await startRig({ parameters: 'maxParts=3' })
    const bytes = randomBytes(5 * MIB + 10 * MIB + 1)
    await store.write('object', body(bytes), SMALL)
    const sizes = server.requests
      .filter(({ op }) => op === 'UploadPart')
      .map(({ headers }) => headers['content-length'])
    expect(sizes.map(Number)).toEqual([5 * MIB, 10 * MIB, 1])
    expect((await buffer(await store.read('object'))).equals(bytes)).toBe(true)
  })

  test('an expected size that can not fit is a guess: what is sent decides', async () => {
    const { store } = await startRig({ parameters: 'maxParts=3' })
    const bytes = randomBytes(6 * MIB)
    await store.write('object', body(bytes), { expectedSize: 1000 * MIB })
    expect((await buffer(await store.read('object'))).equals(bytes)).toBe(true)
  })

  test('an object that the store does not show at once is asked for again, and kept', async () => {
    const { server, store, ops } = await startRig({})
    const struck = server.fault({ op: 'HeadObject', key: 'object', kind: 'status', status: 404, code: '', times: 2 })
    const bytes = randomBytes(1000)
    await store.write('object', body(bytes))
    expect(struck.struckTimes).toBe(2)
    expect(ops()).not.toContain('DeleteObject')
    expect((await buffer(await store.read('object'))).equals(bytes)).toBe(true)
  })

  test('one that it never shows is named, with nothing of the request in the error', async () => {
    const { server, store } = await startRig({}, { timing: { uploadPatienceMs: 50 } })
    server.fault({ op: 'HeadObject', key: 'object', kind: 'status', status: 404, code: '', times: 1_000_000 })
    const error = await store.write('object', body(randomBytes(1000))).then(
      () => expect.unreachable('it was written'),
      (thrown: unknown) => thrown as CofferError,
    )
    expect(error).toMatchObject({ code: 'STORE_UNREACHABLE' })
    expect(error.message).toMatch(/^bucket test-bucket does not show .*object, which it has just taken$/)
    expect(inspect(error, { depth: Infinity, showHidden: true })).not.toMatch(/Signature=|authorization/i)
  })

  test('a body that turns out too large fails, and its upload is aborted', async () => {
    const { server, store, ops } = await startRig({ parameters: 'maxParts=2' })
    const written = store.write('object', body(randomBytes(15 * MIB + 1)), SMALL)
    await expect(written).rejects.toMatchObject({ code: 'OBJECT_TOO_LARGE' })
    expect(ops().at(-1)).toBe('AbortMultipartUpload')
    expect(server.bucket.uploads.size).toBe(0)
  })

  test.each([
    [6 * MIB, ['mid-part', 'before-complete', 'after-complete']],
    [10, ['before-complete', 'after-complete']],
  ])('the steps of %s bytes are told in order', async (size, expected) => {
    const { store } = await startRig()
    const steps = recordSteps('the-key')
    await store.write('the-key', body(randomBytes(size)), SMALL)
    expect(steps).toEqual(expected)
  })
})

describe('F30 what passes is sent again', () => {
  test.each([
    ['PutObject', 10, { kind: 'status', status: 503, code: 'SlowDown' }],
    ['PutObject', 10, { kind: 'reset', afterBytes: 1 }],
    ['CreateMultipartUpload', 6 * MIB, { kind: 'status', status: 500, code: 'InternalError' }],
    ['UploadPart', 6 * MIB, { kind: 'status', status: 503, code: 'SlowDown' }],
    ['UploadPart', 6 * MIB, { kind: 'reset', afterBytes: 500_000 }],
    ['UploadPart', 6 * MIB, { kind: 'stall', when: 'before-headers' }],
    ['UploadPart', 6 * MIB, { kind: 'drop-reply' }],
    ['UploadPart', 6 * MIB, { kind: 'status', status: 400, code: 'BadDigest' }],
    ['CompleteMultipartUpload', 6 * MIB, { kind: 'status', status: 500, code: 'InternalError' }],
    ['CompleteMultipartUpload', 6 * MIB, { kind: 'error-in-200', code: 'InternalError' }],
    ['HeadObject', 6 * MIB, { kind: 'status', status: 503, code: 'SlowDown' }],
  ] as const)('%s of %s bytes struck twice by %j', async (op, size, effect) => {
    const { server, store } = await startRig({}, { timing: effect.kind === 'stall' ? IMPATIENT : {} })
    const fault = server.fault({ op, times: 2, ...effect })
    const bytes = randomBytes(size)
    await store.write('object', body(bytes), SMALL)
    expect(fault.struckTimes).toBe(2)
    expect((await buffer(await store.read('object'))).equals(bytes)).toBe(true)
    expect(server.bucket.uploads.size).toBe(0)
  })

  test('an outage longer than patience is STORE_UNREACHABLE, names what failed, and leaves no upload', async () => {
    const { server, store } = await startRig({}, { timing: { uploadPatienceMs: 100 } })
    server.fault({ op: 'UploadPart', kind: 'status', status: 503, code: 'SlowDown', times: Infinity })
    const written = store.write('object', body(), SMALL)
    await expect(written).rejects.toMatchObject({
      code: 'STORE_UNREACHABLE',
      message: 'UploadPart of object in bucket test-bucket failed: SlowDown, status 503',
    })
    expect(server.bucket.uploads.size).toBe(0)
  })

  test('a server that is not there is STORE_UNREACHABLE', async () => {
    const gone = await startS3Server()
    await gone.close()
    const store = openStore(gone.url, { credentials: gone.keys, timing: { ...QUICK, uploadPatienceMs: 50 } })
    const written = store.write('object', body(randomBytes(10)))
    await expect(written).rejects.toMatchObject({ code: 'STORE_UNREACHABLE', details: { s3Code: 'ECONNREFUSED' } })
  })
})

describe('F31 the reply to the last request is lost', () => {
  test.each([
    ['PutObject', 10],
    ['CompleteMultipartUpload', 6 * MIB],
  ])('%s was applied and not answered: the object itself tells, and nothing is sent twice', async (op, size) => {
    const { server, store, ops } = await startRig()
    server.fault({ op, kind: 'drop-reply' })
    expect(await store.write('object', body(randomBytes(size)), SMALL)).toMatchObject({ size, confirmedBy: 'etag' })
    expect(ops().filter((each) => each === op)).toHaveLength(1)
  })

  test('an older object of the same key and size is not taken for the new one', async () => {
    const { server, store } = await startRig({}, { timing: { uploadPatienceMs: 50 } })
    const older = randomBytes(6 * MIB)
    await store.write('object', body(older), SMALL)
    server.fault({ op: 'CompleteMultipartUpload', kind: 'status', status: 500, code: 'InternalError', times: Infinity })
    await expect(store.write('object', body(), SMALL)).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' })
    expect((await buffer(await store.read('object'))).equals(older)).toBe(true)
    expect(server.bucket.uploads.size).toBe(0)
  })

  test('an upload that vanished before it was completed is STORE_MISMATCH', async () => {
    const { server, store } = await startRig()
    server.fault({ op: 'CompleteMultipartUpload', kind: 'status', status: 404, code: 'NoSuchUpload', times: Infinity })
    await expect(store.write('object', body(), SMALL)).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
  })

  test('an object of another size than was sent is removed, and STORE_MISMATCH', async () => {
    const { server, store } = await startRig()
    const head = server.fault({ op: 'HeadObject', kind: 'delay', ms: 20 })
    void head.struck.then(() => {
      for (const object of server.bucket.objects.values()) object.size = 9
    })
    const written = store.write('object', body(randomBytes(10)), SMALL)
    await expect(written).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
    expect(server.bucket.objects.size).toBe(0)
  })
})

describe('an upload that fails is aborted, and the abort awaited', () => {
  test('a body that throws while a part is under way', async () => {
    const { server, store } = await startRig()
    const part = server.fault({ op: 'UploadPart', kind: 'stall', when: 'before-headers', times: Infinity })
    async function* broken() {
      yield twoParts
      await part.struck
      throw new Error('the source broke')
    }
    await expect(store.write('object', broken(), SMALL)).rejects.toThrow('the source broke')
    expect(server.requests.at(-1)).toMatchObject({ op: 'AbortMultipartUpload', status: 204 })
    expect(await collect(store.pendingUploads(''))).toEqual([])
  })

  test('the signal, while a part is under way and the body stalls', async () => {
    const { server, store } = await startRig()
    const part = server.fault({ op: 'UploadPart', kind: 'stall', when: 'before-headers', times: Infinity })
    const stop = new AbortController()
    const stalled = new Readable({ read: () => undefined })
    stalled.push(twoParts)
    void part.struck.then(() => stop.abort('cancelled'))
    await expect(store.write('object', stalled, { ...SMALL, signal: stop.signal })).rejects.toBe('cancelled')
    expect(stalled.destroyed).toBe(true)
    expect(server.requests.at(-1)).toMatchObject({ op: 'AbortMultipartUpload', status: 204 })
  })

  test('a refusal of a part ends a stalled body at once', async () => {
    const { server, store } = await startRig()
    server.fault({ op: 'UploadPart', kind: 'status', status: 403, code: 'AccessDenied' })
    const stalled = new Readable({ read: () => undefined })
    stalled.push(twoParts)
    await expect(store.write('object', stalled, SMALL)).rejects.toMatchObject({ code: 'STORE_REFUSED' })
    expect(stalled.destroyed).toBe(true)
    expect(server.requests.at(-1)).toMatchObject({ op: 'AbortMultipartUpload', status: 204 })
  })

  test.each([
    ['PutObject', 10],
    ['CompleteMultipartUpload', 6 * MIB],
  ])('the signal, after %s was applied and before its answer: the object is removed', async (op, size) => {
    const { server, store } = await startRig()
    const stop = new AbortController()
    const lost = server.fault({ op, kind: 'drop-reply' })
    const head = server.fault({ op: 'HeadObject', kind: 'stall', when: 'before-headers' })
    void lost.struck.then(() => head.struck).then(() => stop.abort('cancelled'))
    const written = store.write('object', body(randomBytes(size)), { ...SMALL, signal: stop.signal })
    await expect(written).rejects.toBe('cancelled')
    expect(server.bucket.objects.size).toBe(0)
    expect(server.bucket.uploads.size).toBe(0)
  })

  test('an abort that fails hides not the failure before it, and the upload is shown', async () => {
    const { server, store } = await startRig({}, { timing: { patienceMs: 50 } })
    server.fault({ op: 'UploadPart', kind: 'status', status: 403, code: 'AccessDenied' })
    const abort = server.fault({
      op: 'AbortMultipartUpload',
      kind: 'status',
      status: 500,
      code: 'InternalError',
      times: 99,
    })
    await expect(store.write('object', body(), SMALL)).rejects.toMatchObject({ code: 'STORE_REFUSED' })
    expect(abort.struckTimes).toBeGreaterThan(1)
    expect(await collect(store.pendingUploads(''))).toMatchObject([{ key: 'object' }])
  })
})
