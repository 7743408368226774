import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { createTestDatabase } from '../support/databases.ts'
import { expectSameTree, look } from '../support/media-zoo.ts'
import { endOfPart, endOfRestore, partOf, startRestore } from '../support/restore-requests.ts'
import { fillFolder, fillTable, inDatabase } from '../support/sample-data.ts'

const ROWS = `SELECT count(*), md5(string_agg(body, ',' ORDER BY id)) FROM item`

/** A database of its own, backed up, and an empty one to restore into. */
async function backedUpDatabase(coffer: TestCoffer, rows: number, bytes: number) {
  const source = await createTestDatabase()
  await fillTable(source.url, rows, bytes)
  await coffer.addService('DATABASE', source.url)
  const target = await createTestDatabase()
  const { uuid } = await coffer.backup()
  expect((await coffer.ended(uuid)).success).toBe('SUCCESS')
  return { source, target, backupId: uuid, targetId: await coffer.addService('DATABASE', target.url, 'TARGET') }
}

test('a database and a media folder are restored into empty ones, which equal the sources; a second time wants their name', async () => {
  await using coffer = await startTestCoffer()
  const source = await createTestDatabase()
  await fillTable(source.url, 2_000)
  const media = await coffer.mediaRoot('shop')
  await fillFolder(media.path, 150)
  await coffer.addService('DATABASE', source.url)
  await coffer.addService('STORAGE', media.url)
  await coffer.worker()
  const { uuid } = await coffer.backup()
  await coffer.ended(uuid)
  const target = await createTestDatabase()
  const folder = await coffer.mediaRoot('restored')
  const targets = {
    DATABASE: await coffer.addService('DATABASE', target.url, 'TARGET'),
    STORAGE: await coffer.addService('STORAGE', folder.url, 'TARGET'),
  }

  const restore = await endOfRestore(coffer, await startRestore(coffer, uuid, { into: targets }))

  expect(restore.success).toBe('SUCCESS')
  const reports = restore.service_instance_restores.map(({ report }) => report)
  const safety = { safety_backup: 'none: the target was empty' }
  expect(reports).toContainEqual(expect.objectContaining({ tables: 1, rows: 2_000, left_out: [], ...safety }))
  expect(reports).toContainEqual(expect.objectContaining({ files: 150, bytes: 150 * 64, warnings: [], ...safety }))
  expect(await inDatabase(target.url, ROWS)).toEqual(await inDatabase(source.url, ROWS))
  expectSameTree(look(folder.path), look(media.path))

  const again = await endOfRestore(coffer, await startRestore(coffer, uuid, { into: targets }))
  expect(again.success).toBe('FAILURE')
  const codes = again.service_instance_restores.map(({ errors }) => errors[0]?.code)
  expect(codes).toEqual(['RESTORE_UNCONFIRMED', 'RESTORE_UNCONFIRMED'])
  expect(await inDatabase(target.url, ROWS)).toEqual(await inDatabase(source.url, ROWS))
  await target.drop()
  await source.drop()
})

test('a corrupt artifact leaves the target database empty and is called corrupt', async () => {
  await using coffer = await startTestCoffer()
  await coffer.worker()
  const { source, target, backupId, targetId } = await backedUpDatabase(coffer, 20_000, 640)
  const key = (await coffer.objects()).find((name) => name.endsWith('.age')) ?? ''
  const path = join(coffer.folder, 'store', key)
  const bytes = await readFile(path)
  bytes[bytes.length - 100_000] = (bytes[bytes.length - 100_000] ?? 0) ^ 1
  await writeFile(path, bytes)

  const restore = await endOfRestore(coffer, await startRestore(coffer, backupId, { into: { DATABASE: targetId } }))

  expect(restore.service_instance_restores[0]?.errors).toMatchObject([{ code: 'ARTIFACT_CORRUPT' }])
  const tables = `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace`
  expect(await inDatabase(target.url, tables)).toEqual([])
  await target.drop()
  await source.drop()
})

test('F37 a worker killed before the commit leaves an empty target, and the next one restores into it', async () => {
  await using coffer = await startTestCoffer({ env: { COFFER_LEASE_SECONDS: '1' } })
  const first = await coffer.worker()
  const { source, target, backupId, targetId } = await backedUpDatabase(coffer, 20_000, 640)
  await first.stop()
  const doomed = await coffer.worker({ killAt: 'restore-compared' })
  const id = await startRestore(coffer, backupId, { into: { DATABASE: targetId } })
  await doomed.ended
  await coffer.worker()

  expect(await endOfPart(coffer, id)).toMatchObject({
    success: 'SUCCESS',
    kept_until_confirmed: false,
    errors: [{ code: 'RUN_ABANDONED', attempt: 1 }],
  })
  expect(await inDatabase(target.url, ROWS)).toEqual(await inDatabase(source.url, ROWS))
  await target.drop()
  await source.drop()
})

test('F8 a restore whose worker is stopped is taken up by the next', async () => {
  await using coffer = await startTestCoffer()
  const first = await coffer.worker()
  const { source, target, backupId, targetId } = await backedUpDatabase(coffer, 60_000, 960)
  const id = await startRestore(coffer, backupId, { into: { DATABASE: targetId } })
  await first.line(({ msg }) => msg === 'restore claimed')
  expect(await first.stop()).toBe(0)
  expect(await partOf(coffer, id)).toMatchObject({ state: 'QUEUED', errors: [] })
  await coffer.worker()
  expect((await endOfRestore(coffer, id)).success).toBe('SUCCESS')
  expect(await inDatabase(target.url, ROWS)).toEqual(await inDatabase(source.url, ROWS))
  await target.drop()
  await source.drop()
})

test('a worker without the identity restores nothing and names what it lacks', async () => {
  await using coffer = await startTestCoffer()
  const first = await coffer.worker()
  const { source, target, backupId, targetId } = await backedUpDatabase(coffer, 10, 10)
  await first.stop()
  await rm(join(coffer.folder, 'identity.txt'))
  await coffer.worker({ env: { COFFER_AGE_IDENTITY_FILE: '' } })
  const restore = await endOfRestore(coffer, await startRestore(coffer, backupId, { into: { DATABASE: targetId } }))
  expect(restore.service_instance_restores[0]?.errors).toMatchObject([{ code: 'KEY_MISSING' }])
  await target.drop()
  await source.drop()
})
