import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MANIFEST_NAME } from '../../shared/domain/manifest.ts'
import { decodeManifest } from '../../shared/manifest.ts'
import { readArtifact } from '../../shared/pipeline/read-artifact.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { createTestDatabase, type TestDatabase } from '../support/databases.ts'
import { pgDump, pgRestoreAsText } from '../support/foreign-dumps.ts'
import { scratch, untar } from '../support/media-archives.ts'
import { look } from '../support/media-zoo.ts'
import { plantTar } from '../support/repacks.ts'
import { fillFolder, fillTable } from '../support/sample-data.ts'
import { drain } from '../support/streams.ts'
import {
  finish,
  objectsOf,
  send,
  services,
  stagedOf,
  startProducerOf,
  upload,
  type CofferProducer,
} from '../support/uploads.ts'
import { until } from '../support/until.ts'

// One system for all that ends well or is refused; those that kill workers or turn the clock have one of their own.
let shared: TestCoffer
let entrance: CofferProducer
let source: TestDatabase
let dump: Buffer
let tar: Buffer
const folder = scratch()

beforeAll(async () => {
  shared = await startTestCoffer()
  entrance = await startProducerOf(shared)
  await shared.worker()
  source = await createTestDatabase()
  await fillTable(source.url, 3_000)
  dump = await pgDump(source.url, ['--format=custom'], { seekable: true })
  await fillFolder(join(folder.path, 'media'), 150)
  tar = execFileSync('tar', ['-C', join(folder.path, 'media'), '-cf', '-', '.'], { maxBuffer: 64 * 1024 * 1024 })
})
afterAll(async () => {
  await entrance[Symbol.asyncDispose]()
  await shared[Symbol.asyncDispose]()
  await source.drop()
  await folder[Symbol.asyncDispose]()
})

async function plainOf(coffer: TestCoffer, backup: string, kind: 'dump' | 'archive' | 'file-list'): Promise<Buffer> {
  const record = (await coffer.parts(backup)).flatMap(({ artifacts }) => artifacts).find((one) => one.kind === kind)
  if (!record) throw new Error(`no ${kind}`)
  return drain(readArtifact({ store: coffer.store, record, identities: [coffer.identity] }))
}

async function manifestOf(coffer: TestCoffer, backup: string) {
  const key = (await objectsOf(coffer, backup)).find((name) => name.endsWith(MANIFEST_NAME)) ?? ''
  return decodeManifest(coffer.secrets, (await drain(await coffer.store.read(key))).toString())
}

describe('an upload', () => {
  test.each([
    ['a dump', 'database', () => dump],
    ['a dump in gzip', 'database', () => gzipSync(dump)],
  ] as const)(
    'of %s becomes a backup that restores to the same SQL, with exact row counts',
    async (_what, _kind, bytes) => {
      const [coffer, producer] = [shared, entrance]
      const { database } = await services(coffer)
      const backup = await upload(producer, database, bytes())

      expect(await coffer.ended(backup)).toMatchObject({ success: 'SUCCESS', trigger: 'UPLOAD' })
      const stored = await plainOf(coffer, backup, 'dump')
      expect(await pgRestoreAsText(stored)).toBe(await pgRestoreAsText(dump))
      const { contents, backup: described } = await manifestOf(coffer, backup)
      expect(described.trigger).toBe('UPLOAD')
      expect(contents).toMatchObject({
        kind: 'postgresql',
        database: source.name,
        encoding: 'UTF8',
        tables: [{ schema: 'public', name: 'item', rows: 3_000 }],
      })
      expect(await stagedOf(coffer, backup)).toEqual([])
    },
  )

  test.each([
    ['a tar', () => tar],
    ['a tar.gz', () => gzipSync(tar)],
  ] as const)('of %s becomes an archive with its list of files, and the staged object goes', async (_what, bytes) => {
    const [coffer, producer] = [shared, entrance]
    const { storage } = await services(coffer)
    const backup = await upload(producer, storage, bytes())

    expect((await coffer.ended(backup)).success).toBe('SUCCESS')
    const out = join(coffer.folder, 'out')
    untar(await plainOf(coffer, backup, 'archive'), out)
    const [before, after] = [look(join(folder.path, 'media')), look(out)]
    expect([...after.keys()].sort()).toEqual([...before.keys(), 'MANIFEST'].sort())
    for (const [path, { sha256 }] of before) expect(after.get(path)?.sha256).toBe(sha256)
    const list = (await plainOf(coffer, backup, 'file-list')).toString().trimEnd().split('\n')
    expect(list).toHaveLength(before.size)
    expect((await manifestOf(coffer, backup)).contents).toMatchObject({ kind: 'media', files: 150, bytes: 150 * 64 })
    await until(async () => (await stagedOf(coffer, backup)).length === 0)
  })

  test('lies encrypted in the store from the first moment: no plain byte at rest', async () => {
    const [coffer, producer] = [shared, entrance]
    const { storage } = await services(coffer)
    const { backup, parts } = await producer.request([storage])
    const canary = 'canary-of-an-upload '.repeat(1000)
    const [part] = parts
    await send(part as NonNullable<typeof part>, plantTar([{ path: 'secret', content: canary }]))
    const [key = ''] = await stagedOf(coffer, backup)
    const stored = await drain(await coffer.store.read(key))
    expect(stored.toString('latin1', 0, 21)).toBe('age-encryption.org/v1')
    expect(stored.includes('canary-of-an-upload')).toBe(false)
  })
})

test('two services of which one is refused end PARTIAL, and the refused one says why; nothing of it is sealed', async () => {
  const [coffer, producer] = [shared, entrance]
  const { database, storage } = await services(coffer)
  const { backup, parts } = await producer.request([database, storage])
  const [toDatabase, toStorage] = parts as [NonNullable<(typeof parts)[0]>, NonNullable<(typeof parts)[0]>]
  await send(toDatabase, Buffer.from('--\n-- PostgreSQL database dump\n--\nSET statement_timeout = 0;\n'))
  await send(toStorage, tar)
  for (const part of parts) expect(await finish(part)).toMatchObject({ status: 200 })

  expect((await coffer.ended(backup)).success).toBe('PARTIAL')
  const refused = (await coffer.parts(backup)).find(({ service_type }) => service_type === 'DATABASE')
  expect(refused).toMatchObject({ success: 'FAILURE', attempt: 1 })
  expect(refused?.errors).toMatchObject([
    {
      code: 'DUMP_INVALID',
      message: expect.stringMatching(/plain SQL.*pg_dump --format=custom/) as string,
      remedy: expect.stringContaining('pg_dump --format=custom') as string,
    },
  ])
  const manifests = (await objectsOf(coffer, backup)).filter((key) => key.endsWith(MANIFEST_NAME))
  expect(manifests).toEqual([expect.stringContaining('-STORAGE.1/')])
})

test.each([
  ['DATABASE', 'a dump that is cut', () => dump.subarray(0, dump.length - 1000), 'DUMP_INVALID'],
  ['DATABASE', 'a tar', () => tar, 'DUMP_INVALID'],
  ['DATABASE', 'gzip that is cut', () => gzipSync(dump).subarray(0, 5000), 'DUMP_INVALID'],
  ['DATABASE', 'random bytes', () => createHash('sha512').update('x').digest(), 'DUMP_INVALID'],
  ['STORAGE', 'a tar that is cut', () => tar.subarray(0, 50_000), 'ARCHIVE_INVALID'],
  ['STORAGE', 'a dump', () => dump, 'ARCHIVE_INVALID'],
  ['STORAGE', 'F35 a tar with ..', () => plantTar([{ path: '../evil', content: 'x' }]), 'ARCHIVE_INVALID'],
  [
    'STORAGE',
    'F35 a bomb',
    () => gzipSync(plantTar([{ path: 'zeros', content: '0'.repeat(3_000_000) }])),
    'ARCHIVE_INVALID',
  ],
] as const)('to a %s, %s fails at once and for good, and leaves no manifest', async (type, _what, bytes, code) => {
  const coffer = shared
  await using producer = await startProducerOf(coffer, { env: { COFFER_UPLOAD_MAX_BYTES: '2000000' } })
  const { database, storage } = await services(coffer)
  const backup = await upload(producer, type === 'DATABASE' ? database : storage, bytes())
  expect((await coffer.ended(backup)).success).toBe('FAILURE')
  const [part] = await coffer.parts(backup)
  expect(part?.errors.map((error) => [error.code, error.attempt])).toEqual([[code, 1]])
  expect((await objectsOf(coffer, backup)).filter((key) => !key.startsWith('uploads/'))).toEqual([])
})

test('one that is cancelled takes nothing any more', async () => {
  const [coffer, producer] = [shared, entrance]
  const { storage } = await services(coffer)
  const { backup, parts } = await producer.request([storage])
  expect(await producer.ask('POST', `/apps/v3/backups/${backup}/cancel/`)).toMatchObject({ status: 200 })
  const [part] = parts as [NonNullable<(typeof parts)[0]>]
  expect(await send(part, tar)).toMatchObject({ status: 409, body: { code: 'CONFLICT' } })
  expect(await finish(part)).toMatchObject({ status: 409 })
  expect(await stagedOf(coffer, backup)).toEqual([])
})
