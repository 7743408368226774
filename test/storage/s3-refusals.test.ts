import { Readable } from 'node:stream'
import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { openStore } from '../../shared/storage/open-store.ts'
import { fromS3 } from '../../shared/storage/s3-errors.ts'
import { collect } from './conformance.ts'
import { everyMethod, QUICK, startRig } from './s3-rig.ts'

const SECRET = 'canary-secret-key'

test.each(everyMethod)(
  'F32 %s on a bucket that does not exist is STORE_REFUSED, not an empty store',
  async (_, call) => {
    const { server, ops } = await startRig()
    const url = server.url.replace('s3://test-bucket', 's3://no-such-bucket')
    const store = openStore(url, { credentials: server.keys, timing: QUICK })
    await expect(call(store)).rejects.toMatchObject({
      code: 'STORE_REFUSED',
      message: expect.stringMatching(/bucket no-such-bucket.* failed: NoSuchBucket, status 404$/) as unknown,
    })
    expect(ops().length).toBeLessThanOrEqual(3)
  },
)

test.each(everyMethod)(
  'F32 %s with a wrong secret is STORE_REFUSED, asked once, and the secret is nowhere',
  async (name, call) => {
    const { server, store, ops } = await startRig(
      {},
      { credentials: { accessKeyId: 'test-access-key', secretAccessKey: SECRET } },
    )
    const error = await call(store).then(
      () => undefined,
      (thrown: unknown) => thrown as Error & { code: string; details: unknown },
    )
    expect(error?.code).toBe('STORE_REFUSED')
    expect(error?.message).toContain('bucket test-bucket')
    // A HEAD has no body that could name the code.
    expect(error?.message).toMatch(name === 'head' ? /status 403$/ : /SignatureDoesNotMatch, status 403$/)
    expect(inspect(error, { depth: Infinity, showHidden: true })).not.toMatch(/canary|Signature=|authorization/)
    expect(ops().length).toBeLessThanOrEqual(2)
    expect(server.bucket.objects.size).toBe(0)
  },
)

test('F32 an unknown access key is STORE_REFUSED', async () => {
  const { store } = await startRig({}, { credentials: { accessKeyId: 'unknown', secretAccessKey: SECRET } })
  await expect(store.check()).rejects.toMatchObject({
    code: 'STORE_REFUSED',
    details: { s3Code: 'InvalidAccessKeyId' },
  })
})

test('a storage class that the server does not know is STORE_REFUSED', async () => {
  const { store } = await startRig({ storageClasses: ['STANDARD'] })
  await expect(store.check()).rejects.toMatchObject({
    details: { s3Code: 'InvalidStorageClass' },
    code: 'STORE_REFUSED',
  })
})

test.each([
  [507, 'InsufficientStorage'],
  [403, 'QuotaExceeded'],
  [507, 'XMinioStorageFull'],
])('a store that answers %s %s is STORE_FULL', async (status, code) => {
  const { server, store } = await startRig()
  server.fault({ op: 'PutObject', kind: 'status', status, code, times: Infinity })
  await expect(store.write('object', Readable.from([Buffer.from('bytes')]))).rejects.toMatchObject({
    code: 'STORE_FULL',
  })
})

test("F32 a clock that is an hour off is set right by the server's answer", async () => {
  const { server, store } = await startRig({ clock: () => new Date(Date.now() + 3_600_000) })
  await store.check()
  expect(server.requests[0]?.status).toBe(403)
})

test('a certificate that nobody vouches for is STORE_REFUSED', () => {
  const error = Object.assign(new Error('self-signed certificate'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
  expect(fromS3(error, { operation: 'HeadObject', bucket: 'b', key: 'k' })).toMatchObject({ code: 'STORE_REFUSED' })
})

test('an outage is STORE_UNREACHABLE for every method once patience ends', async () => {
  const { server, store } = await startRig({}, { timing: { patienceMs: 20, uploadPatienceMs: 20 } })
  server.fault({ kind: 'status', status: 503, code: 'SlowDown', times: Infinity })
  for (const [, call] of everyMethod) await expect(call(store)).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' })
})

test('a page of a list that fails is asked for again, and nothing is listed twice', async () => {
  const { server, store } = await startRig({ pageSize: 2 })
  for (const key of ['a', 'b', 'c', 'd', 'e']) await store.write(key, Readable.from([Buffer.from(key)]))
  server.fault({ op: 'ListObjectsV2', from: 2, kind: 'status', status: 500, code: 'InternalError' })
  expect((await collect(store.list(''))).map(({ key }) => key)).toEqual(['a', 'b', 'c', 'd', 'e'])
})
