import { randomBytes, randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { expect, onTestFinished, test } from 'vitest'
import type { Store } from '../../shared/storage/store.ts'

const MIB = 1024 * 1024

export async function* chunked(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) {
    yield bytes.subarray(at, at + size)
    await Promise.resolve()
  }
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

const readAll = async (store: Store, key: string, range = {}) => await buffer(await store.read(key, range))

/** What every store must do. `open` gives a store whose prefix or folder no other test uses; it is called once per test. */
export function describeStore(open: () => Promise<Store>): void {
  async function openStore(): Promise<Store> {
    const store = await open()
    await store.prepare()
    await store.prepare()
    onTestFinished(() => store.close())
    return store
  }

  test.each([
    ['nothing', 0, 1],
    ['one byte', 1, 1],
    ['a few chunks of one byte', 7, 1],
    ['a part less a byte', 5 * MIB - 1, 64 * 1024],
    ['exactly a part', 5 * MIB, 64 * 1024],
    ['a part and a byte', 5 * MIB + 1, 64 * 1024],
    ['two parts and more in chunks that fit no part', 11 * MIB, 999_983],
    ['one chunk larger than a part', 11 * MIB, 11 * MIB],
  ])('gives back what was written: %s', async (_, size, chunkSize) => {
    const store = await openStore()
    const bytes = randomBytes(size)
    const written = await store.write('a/b/object', chunked(bytes, chunkSize), { expectedSize: size })
    expect(written).toMatchObject({ key: 'a/b/object', size })
    expect(written.confirmedBy).not.toBe('size')
    expect((await readAll(store, 'a/b/object')).equals(bytes)).toBe(true)
    expect(await store.head('a/b/object')).toMatchObject({ key: 'a/b/object', size })
    expect(await collect(store.pendingUploads(''))).toEqual([])
  })

  test.each([
    [0, 0],
    [0, 9],
    [5, 5],
    [99, 99],
    [50, 1000],
    [50, undefined],
    [99, undefined],
    [100, undefined],
    [1000, 2000],
  ])('reads the bytes %s to %s, as far as there are any', async (start, end) => {
    const store = await openStore()
    const bytes = randomBytes(100)
    await store.write('object', Readable.from([bytes]))
    const range = end === undefined ? { start } : { start, end }
    const expected = bytes.subarray(start, end === undefined ? undefined : end + 1)
    expect((await readAll(store, 'object', range)).equals(expected)).toBe(true)
  })

  test('a second write replaces the first', async () => {
    const store = await openStore()
    await store.write('object', Readable.from([Buffer.from('first, which is longer')]))
    await store.write('object', Readable.from([Buffer.from('second')]))
    expect(String(await readAll(store, 'object'))).toBe('second')
  })

  test('what is missing has no head, can not be read, and may be deleted', async () => {
    const store = await openStore()
    expect(await store.head('no/such')).toBeNull()
    await expect(store.read('no/such')).rejects.toMatchObject({ code: 'OBJECT_NOT_FOUND' })
    await expect(store.delete('no/such')).resolves.toBeUndefined()
    expect(await collect(store.list(''))).toEqual([])
  })

  test('a deleted object is gone, may be deleted again, and its neighbours stay', async () => {
    const store = await openStore()
    for (const key of ['a/1/x', 'a/1/y', 'a/2/x']) await store.write(key, Readable.from([Buffer.from(key)]))
    await store.delete('a/1/x')
    await store.delete('a/1/x')
    expect((await collect(store.list(''))).map(({ key }) => key).sort()).toEqual(['a/1/y', 'a/2/x'])
    expect(await store.head('a/1/x')).toBeNull()
  })

  test('lists every object under a prefix, which may end anywhere, with its size', async () => {
    const store = await openStore()
    const keys = ['a/1', 'a/10', 'a/2', 'ab/1', 'b', 'c/with space & <sign>/é']
    for (const key of keys) await store.write(key, Readable.from([Buffer.from(key)]))
    const list = async (prefix: string) => (await collect(store.list(prefix))).map(({ key }) => key).sort()
    expect(await list('')).toEqual([...keys].sort())
    expect(await list('a')).toEqual(['a/1', 'a/10', 'a/2', 'ab/1'])
    expect(await list('a/')).toEqual(['a/1', 'a/10', 'a/2'])
    expect(await list('a/1')).toEqual(['a/1', 'a/10'])
    expect(await list('z')).toEqual([])
    const [last] = await collect(store.list('c/'))
    expect(last).toMatchObject({ key: 'c/with space & <sign>/é', size: Buffer.byteLength('c/with space & <sign>/é') })
  })

  test.each([100, 6 * MIB])(
    'a body that throws after %s bytes leaves nothing, and its error comes through',
    async (size) => {
      const store = await openStore()
      const broken = new Error('the source broke')
      async function* body() {
        yield await Promise.resolve(randomBytes(size))
        throw broken
      }
      await expect(store.write('object', body(), { expectedSize: 0 })).rejects.toBe(broken)
      expect(await store.head('object')).toBeNull()
      expect(await collect(store.pendingUploads(''))).toEqual([])
    },
  )

  test.each([100, 6 * MIB])(
    'an abort after %s bytes ends a stalled body, leaves nothing, and rejects with the reason',
    async (size) => {
      const store = await openStore()
      const stop = new AbortController()
      const reason = new Error('cancelled')
      let isGiven = false
      const body = new Readable({
        read() {
          if (isGiven) stop.abort(reason)
          else this.push(randomBytes(size))
          isGiven = true
        },
      })
      await expect(store.write('object', body, { signal: stop.signal, expectedSize: 0 })).rejects.toBe(reason)
      expect(body.destroyed).toBe(true)
      expect(await store.head('object')).toBeNull()
      expect(await collect(store.pendingUploads(''))).toEqual([])
    },
  )

  test('a signal that was aborted before writes nothing', async () => {
    const store = await openStore()
    const body = Readable.from([Buffer.from('bytes')])
    await expect(store.write('object', body, { signal: AbortSignal.abort('no') })).rejects.toBe('no')
    expect(body.destroyed).toBe(true)
    expect(await store.head('object')).toBeNull()
  })

  test('a generator is closed when the write fails', async () => {
    const store = await openStore()
    let isClosed = false
    async function* body() {
      try {
        yield await Promise.resolve(Buffer.from('bytes'))
      } finally {
        isClosed = true
      }
    }
    const stop = new AbortController()
    const unread = body()
    await unread.next()
    stop.abort('stopped')
    await expect(store.write('object', unread, { signal: stop.signal })).rejects.toBe('stopped')
    expect(isClosed).toBe(true)
  })

  test.each(['', '/a', 'a/', 'a//b', '.', '..', 'a/../b', '../escape', 'a\0b', 'a\\b', 'n'.repeat(201)])(
    'the key %j is refused, and its body closed',
    async (key) => {
      const store = await openStore()
      const body = Readable.from([Buffer.from('bytes')])
      await expect(store.write(key, body)).rejects.toMatchObject({ code: 'STORE_REFUSED' })
      expect(body.destroyed).toBe(true)
      await expect(store.read(key)).rejects.toMatchObject({ code: 'STORE_REFUSED' })
      await expect(store.head(key)).rejects.toMatchObject({ code: 'STORE_REFUSED' })
      await expect(store.delete(key)).rejects.toMatchObject({ code: 'STORE_REFUSED' })
    },
  )

  test('a prefix may not lead out of the store', async () => {
    const store = await openStore()
    await expect(collect(store.list('../'))).rejects.toMatchObject({ code: 'STORE_REFUSED' })
    await expect(collect(store.pendingUploads('a/../../b'))).rejects.toMatchObject({ code: 'STORE_REFUSED' })
  })

  test('a reader that stops early does no harm, nor one that never starts', async () => {
    const store = await openStore()
    const bytes = randomBytes(3 * MIB)
    await store.write('object', Readable.from([bytes]))
    for await (const chunk of await store.read('object')) {
      expect((chunk as Buffer).length).toBeGreaterThan(0)
      break
    }
    const unread = await store.read('object')
    unread.destroy()
    expect((await readAll(store, 'object')).equals(bytes)).toBe(true)
  })

  test('an upload that stands open is shown with its key and start, and may be aborted twice', async () => {
    const store = await openStore()
    const stop = new AbortController()
    const body = new Readable({ read: () => undefined })
    body.push(randomBytes(6 * MIB))
    const writing = store.write('a/object', body, { signal: stop.signal, expectedSize: 0 }).catch(() => undefined)
    let pending = await collect(store.pendingUploads('a/'))
    while (pending.length === 0) pending = await collect(store.pendingUploads('a/'))
    const [upload] = pending
    expect(upload?.key).toBe('a/object')
    expect(Math.abs(Date.now() - (upload?.startedAt.getTime() ?? 0))).toBeLessThan(60_000)
    expect(await collect(store.pendingUploads('b'))).toEqual([])
    expect(await collect(store.list(''))).toEqual([])
    if (upload) await store.abortUpload(upload)
    if (upload) await store.abortUpload(upload)
    expect(await collect(store.pendingUploads(''))).toEqual([])
    stop.abort()
    await writing
  })

  test('writes at the same time to keys and folders of each other do not disturb one another', async () => {
    const store = await openStore()
    const keys = Array.from({ length: 20 }, (_, n) => `shared/folder-${n % 3}/${randomUUID()}`)
    await Promise.all(
      keys.map(async (key, n) => {
        await store.write(key, Readable.from([Buffer.from(key)]))
        if (n % 2) await store.delete(key)
      }),
    )
    const left = (await collect(store.list('shared/'))).map(({ key }) => key).sort()
    expect(left).toEqual(keys.filter((_, n) => n % 2 === 0).sort())
  })

  test('check passes and leaves nothing behind', async () => {
    const store = await openStore()
    await store.check()
    expect(await collect(store.list(''))).toEqual([])
  })
}
