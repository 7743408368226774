import { expect, test } from 'vitest'
import { MANIFEST_NAME } from '../../shared/domain/manifest.ts'
import { startTestCoffer } from '../support/coffer.ts'
import { createTestDatabase } from '../support/databases.ts'
import { fillFolder, fillTable } from '../support/sample-data.ts'

test('30 backups enqueued at once with two workers are all sealed, none twice', async () => {
  await using coffer = await startTestCoffer()
  const source = await createTestDatabase()
  await fillTable(source.url, 500)
  const media = await coffer.mediaRoot('shop')
  await fillFolder(media.path, 20)
  await coffer.addService('DATABASE', source.url)
  await coffer.addService('STORAGE', media.url)
  const workers = [await coffer.worker(), await coffer.worker()]

  const backups = await Promise.all(Array.from({ length: 30 }, () => coffer.backup()))
  const ended = await Promise.all(backups.map(({ uuid }) => coffer.ended(uuid)))

  expect(ended.map(({ success }) => success)).toEqual(Array(30).fill('SUCCESS'))
  const manifests = (await coffer.objects()).filter((key) => key.endsWith(MANIFEST_NAME))
  expect(manifests).toHaveLength(60)
  expect(manifests.every((key) => /\.1\/manifest\.json$/.test(key))).toBe(true)
  const seals = workers.map((worker) => worker.lines.filter(({ msg }) => msg === 'run sealed').length)
  expect(seals[0] ?? 0).toBeGreaterThan(0)
  expect(seals[1] ?? 0).toBeGreaterThan(0)
  expect((seals[0] ?? 0) + (seals[1] ?? 0)).toBe(60)
  await source.drop()
})

test('F5 everything accepted is done although Redis is emptied while it runs and while it waits', async () => {
  await using coffer = await startTestCoffer({ env: { COFFER_WORKER_CONCURRENCY: '1' } })
  const source = await createTestDatabase()
  await fillTable(source.url, 20_000, 640)
  await coffer.addService('DATABASE', source.url)
  const worker = await coffer.worker()
  const backups = await Promise.all(Array.from({ length: 4 }, () => coffer.backup()))
  await worker.line(({ msg }) => msg === 'run claimed')
  await coffer.redis.flushdb()
  await worker.line(({ msg }) => msg === 'run sealed')
  await coffer.redis.flushdb()

  const ended = await Promise.all(backups.map(({ uuid }) => coffer.ended(uuid)))
  expect(ended.map(({ success }) => success)).toEqual(Array(4).fill('SUCCESS'))
  expect((await coffer.objects()).filter((key) => key.endsWith(MANIFEST_NAME))).toHaveLength(4)
  await source.drop()
})

test('F8 SIGTERM puts a run back in the queue without spending a try, and leaves nothing in the store', async () => {
  await using coffer = await startTestCoffer()
  const source = await createTestDatabase()
  await fillTable(source.url, 40_000, 960)
  await coffer.addService('DATABASE', source.url)
  const worker = await coffer.worker()
  const { uuid } = await coffer.backup()
  await worker.line(({ msg }) => msg === 'run claimed')
  expect(await worker.stop()).toBe(0)

  const [part] = await coffer.parts(uuid)
  expect(part).toMatchObject({ state: 'QUEUED', attempt: 1, errors: [] })
  expect(await coffer.objects()).toEqual([])
  await coffer.worker()
  expect((await coffer.ended(uuid)).success).toBe('SUCCESS')
  await source.drop()
})
