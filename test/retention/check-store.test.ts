import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { listSealed, markLost } from '../../shared/catalog/checks.ts'
import { beginDeletion } from '../../shared/catalog/deleting.ts'
import { checkStore } from '../../shared/retention/check-store.ts'
import { retentionView } from '../../shared/catalog/retention.ts'
import { pruneEnvironment } from '../../workers/prune/prune-environment.ts'
import { writeText } from '../../shared/storage/text-objects.ts'
import { startClockedWorker, type ClockedWorker } from '../support/clocked-worker.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { startS3Server } from '../support/s3-server/server.ts'
import { daysBefore, sealBackup, sealOnDemand } from '../support/sealed-backups.ts'

const NOW = new Date('2031-05-20T12:00:00.000Z')
const NEVER = new AbortController().signal

const check = (coffer: TestCoffer, { context }: ClockedWorker) =>
  checkStore(context, coffer.store, coffer.env['COFFER_STORAGE_URL'] ?? '')

const openAlerts = ({ catalog }: TestCoffer) =>
  catalog.query('SELECT kind, subject FROM alerts WHERE resolved_at IS NULL')

const standingsOf = async ({ catalog, environmentId }: TestCoffer) =>
  (await retentionView(catalog, environmentId, { now: NOW }))[0]?.verdicts.map((verdict) => verdict.standing)

describe.each(['file', 's3'] as const)('F17 a check of a store and the catalog, %s store', (kind) => {
  test('finds objects without a row and rows without an object, which are lost until they are found again', async () => {
    await using s3 = kind === 's3' ? await startS3Server() : null
    await using coffer = await startTestCoffer({ s3 })
    await using worker = await startClockedWorker(coffer, { now: NOW })
    await coffer.addService('STORAGE', 'file:///nowhere')
    const fine = await sealBackup(coffer, worker, { at: daysBefore(NOW, 2) })
    const hurt = await sealBackup(coffer, worker, { at: daysBefore(NOW, 1) })
    const nothing = { unowned: [], unowned_count: 0, lost: [], found: [] }
    expect(await check(coffer, worker)).toEqual({ objects: 6, backups: 2, ...nothing })

    const [key = ''] = (await coffer.objects()).filter((name) => name.includes(hurt.id) && name.endsWith('.age'))
    const bytes = Buffer.concat((await Array.fromAsync(await coffer.store.read(key))) as Buffer[])
    await coffer.store.delete(key)
    const stray = key.replaceAll(hurt.id, '00000000-0000-4000-8000-000000000000')
    for (const unowned of [stray, 'notes.txt']) await writeText(coffer.store, unowned, 'not ours', NEVER)
    const lost = { service_instance_backup: hurt.parts[0], environment: coffer.environmentId, missing: [key] }
    const found = { objects: 7, backups: 2, unowned: [stray, 'notes.txt'], unowned_count: 2, lost: [lost], found: [] }
    const report = await check(coffer, worker)
    expect({ ...report, unowned: report.unowned.toSorted() }).toEqual({ ...found, unowned: found.unowned.toSorted() })
    expect(await openAlerts(coffer)).toEqual([{ kind: 'lost', subject: hurt.parts[0] }])
    expect(await standingsOf(coffer)).toEqual(['bad', 'good'])
    expect((await coffer.objects()).filter((name) => name.includes(fine.id))).toHaveLength(3)

    const body = (async function* () {
      yield await Promise.resolve(bytes.subarray(1))
    })()
    await coffer.store.write(key, body)
    expect((await check(coffer, worker)).lost).toEqual([lost])
    await coffer.store.write(
      key,
      (async function* () {
        yield await Promise.resolve(bytes)
      })(),
    )
    expect(await check(coffer, worker)).toMatchObject({ lost: [], found: hurt.parts })
    expect(await openAlerts(coffer)).toEqual([])
    expect(await standingsOf(coffer)).toEqual(['good', 'good'])
  })
})

test('F17 what is being deleted while it is looked at does not become lost', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  await coffer.addService('STORAGE', 'file:///nowhere')
  const [oldest] = await sealOnDemand(coffer, worker, [60, 50])
  const [row] = await listSealed(coffer.catalog, coffer.env['COFFER_STORAGE_URL'] ?? '', {
    after: '00000000-0000-0000-0000-000000000000',
    limit: 1,
  })
  expect(await beginDeletion(coffer.catalog, { id: oldest?.parts[0] ?? '', reason: 'test' })).not.toBeNull()
  if (!row) throw new Error('there is a sealed row')
  expect(await markLost(coffer.catalog, { ...row, id: oldest?.parts[0] ?? '' }, ['manifest.json'], NOW)).toBe(false)
  expect(await openAlerts(coffer)).toEqual([])
})

test('F17 a store that does not answer makes nothing lost', async () => {
  await using s3 = await startS3Server()
  await using coffer = await startTestCoffer({ s3 })
  await using worker = await startClockedWorker(coffer, { now: NOW })
  await coffer.addService('STORAGE', 'file:///nowhere')
  await sealBackup(coffer, worker, { at: NOW })
  s3.fault({ kind: 'status', status: 403, code: 'AccessDenied', op: 'HeadObject', times: 100 })
  await expect(check(coffer, worker)).rejects.toMatchObject({ code: 'STORE_REFUSED' })
  expect(await standingsOf(coffer)).toEqual(['good'])
})

test('a store that was away while it was checked has lost nothing when it is back, however old its backups are', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  await coffer.addService('STORAGE', 'file:///nowhere')
  await sealOnDemand(coffer, worker, [300, 200, 100])
  const prune = () => pruneEnvironment(worker.context, coffer.environmentId, { dryRun: false })
  await rename(join(coffer.folder, 'store'), join(coffer.folder, 'unmounted'))
  await mkdir(join(coffer.folder, 'store'))
  await expect(check(coffer, worker)).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' })
  expect(await standingsOf(coffer)).toEqual(['good', 'good', 'good'])
  // Another store's disk in its place.
  await coffer.store.prepare()
  expect((await check(coffer, worker)).lost).toHaveLength(3)
  expect(await standingsOf(coffer)).toEqual(['bad', 'bad', 'bad'])
  expect((await prune()).deleted).toEqual([])

  await rm(join(coffer.folder, 'store'), { recursive: true })
  await rename(join(coffer.folder, 'unmounted'), join(coffer.folder, 'store'))
  expect((await prune()).deleted).toEqual([])
  expect(await standingsOf(coffer)).toEqual(['good', 'good', 'good'])
  expect(await openAlerts(coffer)).toEqual([])
})
