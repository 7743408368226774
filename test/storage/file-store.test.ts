import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { closeSync, openSync, readdirSync, writeSync } from 'node:fs'
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  rmdir,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pathToFileURL } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { openStore } from '../../shared/storage/open-store.ts'
import { collect } from './conformance.ts'
import { MIB, recordSteps } from './s3-rig.ts'
import { mountTmpfs } from './tmpfs.ts'

const isRoot = process.getuid?.() === 0

async function startFolder() {
  const folder = await mkdtemp(join(tmpdir(), 'coffer-store-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const store = openStore(pathToFileURL(folder).href)
  await store.prepare()
  return { folder, store }
}

/** Everything in the folder but the mark. */
const contents = async (folder: string) =>
  (await readdir(folder, { recursive: true })).filter((name) => name !== '.coffer-store')

const one = (bytes: string | Buffer) => Readable.from([Buffer.from(bytes)])

test('nothing but the object is left, readable by its owner alone', async () => {
  const { folder, store } = await startFolder()
  await store.write('a/b/object', one('bytes'))
  expect(await contents(folder)).toEqual(['a', 'a/b', 'a/b/object'])
  expect((await stat(join(folder, 'a/b/object'))).mode & 0o777).toBe(0o600)
  expect((await stat(join(folder, 'a'))).mode & 0o777).toBe(0o700)
})

test('the last object of a folder takes the empty folders with it, up to the root', async () => {
  const { folder, store } = await startFolder()
  await store.write('a/b/c/object', one('bytes'))
  await store.write('a/other', one('bytes'))
  await store.delete('a/b/c/object')
  expect(await contents(folder)).toEqual(['a', 'a/other'])
  await store.delete('a/other')
  expect(await contents(folder)).toEqual([])
})

test('a write that fails leaves no folder either', async () => {
  const { folder, store } = await startFolder()
  async function* broken() {
    yield await Promise.resolve(Buffer.from('bytes'))
    throw new Error('the source broke')
  }
  await expect(store.write('a/b/object', broken())).rejects.toThrow('the source broke')
  expect(await contents(folder)).toEqual([])
})

test('what is read back after the writing is shown as it goes, and can be interrupted', async () => {
  const { folder, store } = await startFolder()
  let pieces = 0
  await store.write('a/object', one(Buffer.alloc(MIB)), { onReadBack: () => pieces++ })
  expect(pieces).toBe(4)

  const cancel = new AbortController()
  const written = store.write('a/other', one(Buffer.alloc(MIB)), {
    signal: cancel.signal,
    onReadBack: () => {
      pieces++
      cancel.abort(new Error('cancelled'))
    },
  })
  await expect(written).rejects.toThrow('cancelled')
  expect(pieces).toBe(5)
  expect(await contents(folder)).toEqual(['a', 'a/object'])
})

test('writers never trip over folders that vanish under them', async () => {
  const { folder, store } = await startFolder()
  let isDone = false
  const sweep = async () => {
    while (!isDone) for (const each of ['a/b', 'a']) await rmdir(join(folder, each)).catch(() => undefined)
  }
  const churn = async (name: string) => {
    for (let round = 0; round < 60; round++) {
      await store.write(`a/b/${name}`, one(name))
      expect(String(await buffer(await store.read(`a/b/${name}`)))).toBe(name)
      await store.delete(`a/b/${name}`)
    }
  }
  const sweeping = [sweep(), sweep()]
  await Promise.all([churn('x'), churn('y')]).finally(() => (isDone = true))
  await Promise.all(sweeping)
  expect(await collect(store.list(''))).toEqual([])
})

test('a file that does not hold what was written to it is STORE_MISMATCH, and removed', async () => {
  const { folder, store } = await startFolder()
  const tamper = (message: unknown) => {
    if ((message as { step: string }).step !== 'mid-part') return
    const name = readdirSync(folder).find((each) => each.endsWith('.pending')) ?? ''
    const file = openSync(join(folder, name), 'r+')
    writeSync(file, 'B', 0)
    closeSync(file)
  }
  subscribe('coffer:step', tamper)
  onTestFinished(() => void unsubscribe('coffer:step', tamper))
  await expect(store.write('object', one('bytes'))).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
  expect(await contents(folder)).toEqual([])
})

test('the steps are told in order, the last one when the object is there', async () => {
  const { store } = await startFolder()
  const steps = recordSteps('the-key')
  await store.write('the-key', Readable.from([Buffer.from('a'), Buffer.from('b')]))
  expect(steps).toEqual(['mid-part', 'before-complete', 'after-complete'])
})

test('a file that was cut while it is read is STORE_UNREACHABLE, never a short read', async () => {
  const { folder, store } = await startFolder()
  await store.write('object', one(randomBytes(MIB)))
  const stream = await store.read('object')
  await truncate(join(folder, 'object'), MIB / 2)
  await expect(buffer(stream)).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' })
})

test('a folder is no object', async () => {
  const { store } = await startFolder()
  await store.write('a/object', one('bytes'))
  expect(await store.head('a')).toBeNull()
  await expect(store.read('a')).rejects.toMatchObject({ code: 'OBJECT_NOT_FOUND' })
  await expect(store.delete('a')).resolves.toBeUndefined()
  await expect(store.write('a', one('bytes'))).rejects.toMatchObject({ code: 'STORE_REFUSED' })
  await expect(store.write('a/object/below', one('bytes'))).rejects.toMatchObject({ code: 'STORE_REFUSED' })
  expect((await collect(store.list(''))).map(({ key }) => key)).toEqual(['a/object'])
})

test('an upload id that is none of ours removes nothing', async () => {
  const { folder, store } = await startFolder()
  await writeFile(join(folder, 'precious'), 'bytes')
  const upload = { key: 'object', uploadId: '/../precious', startedAt: new Date(0) }
  await expect(store.abortUpload(upload)).rejects.toMatchObject({ code: 'STORE_REFUSED' })
  expect(String(await readFile(join(folder, 'precious')))).toBe('bytes')
})

test('F33 a full disk is STORE_FULL, and leaves nothing that takes up its room', async (context) => {
  const folder = isRoot ? await mountTmpfs('2m') : null
  if (folder === null) return context.skip('mounting a tmpfs needs root')
  const store = openStore(pathToFileURL(folder).href)
  await store.prepare()
  const body = Readable.from(Array.from({ length: 48 }, () => randomBytes(65_536)))
  await expect(store.write('a/object', body)).rejects.toMatchObject({ code: 'STORE_FULL', retry: 'backoff' })
  expect(await contents(folder)).toEqual([])
  await store.write('a/object', one(randomBytes(MIB)))
})

test('F33 a folder without permission is STORE_REFUSED', async (context) => {
  if (isRoot) return context.skip('root may write everywhere')
  const { folder, store } = await startFolder()
  await mkdir(join(folder, 'a'))
  await chmod(join(folder, 'a'), 0o500)
  await expect(store.write('a/object', one('bytes'))).rejects.toMatchObject({ code: 'STORE_REFUSED' })
})

test('F33 a read-only disk is STORE_REFUSED', async (context) => {
  const folder = isRoot ? await mountTmpfs('1m,ro') : null
  if (folder === null) return context.skip('mounting a tmpfs needs root')
  await expect(openStore(pathToFileURL(folder).href).prepare()).rejects.toMatchObject({
    code: 'STORE_REFUSED',
    message: expect.stringContaining('EROFS') as unknown,
  })
})

test('F1 a writer killed mid-part leaves a temporary file that is shown and removed, and no object', async () => {
  const { folder, store } = await startFolder()
  const script = join(import.meta.dirname, 'fixtures/write-forever.ts')
  const child = spawn(process.execPath, [script, pathToFileURL(folder).href], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'close')

  expect(await collect(store.list(''))).toEqual([])
  const pending = await collect(store.pendingUploads('a/'))
  expect(pending).toMatchObject([{ key: 'a/object' }])
  expect(await readdir(join(folder, 'a'))).toEqual([`.object.${pending[0]?.uploadId ?? ''}.pending`])
  for (const upload of pending) await store.abortUpload(upload)
  expect(await contents(folder)).toEqual([])
})

test('a folder that lost its mark, as a disk that is not mounted, is STORE_UNREACHABLE and nothing is written to it', async () => {
  const { folder, store } = await startFolder()
  await store.write('a/object', one('bytes'))
  const elsewhere = `${folder}-elsewhere`
  await rename(folder, elsewhere)
  onTestFinished(() => rm(elsewhere, { recursive: true }))
  const unreachable = { code: 'STORE_UNREACHABLE', message: expect.stringContaining('mounted') as unknown }
  for (const isThere of [false, true]) {
    if (isThere) await mkdir(folder)
    await expect(store.write('b', one('bytes'))).rejects.toMatchObject(unreachable)
    await expect(store.read('a/object')).rejects.toMatchObject(unreachable)
    await expect(store.head('a/object')).rejects.toMatchObject(unreachable)
    await expect(store.delete('a/object')).rejects.toMatchObject(unreachable)
    await expect(collect(store.list(''))).rejects.toMatchObject(unreachable)
    await expect(collect(store.pendingUploads(''))).rejects.toMatchObject(unreachable)
  }
  expect(await contents(folder)).toEqual([])
})
