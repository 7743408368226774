import { mkdir, rm, symlink } from 'node:fs/promises'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { createTestDatabase } from '../support/databases.ts'
import { startS3Server } from '../support/s3-server/server.ts'
import { fillFolder, fillTable } from '../support/sample-data.ts'
import type { ServiceType } from '../../shared/domain/states.ts'
import type { ServiceInstanceBackupView } from '../../shared/catalog/service-instance-backups.ts'

/** Backs the one service up and tells how it ended; nothing may be left in the store. */
async function failedPart(coffer: TestCoffer, type: ServiceType, url: string): Promise<ServiceInstanceBackupView> {
  await coffer.addService(type, url)
  await coffer.worker()
  const backup = await coffer.ended((await coffer.backup()).uuid)
  expect(backup.success).toBe('FAILURE')
  expect(await coffer.objects()).toEqual([])
  const [part] = await coffer.parts(backup.uuid)
  if (!part) throw new Error('the backup has no part')
  return part
}

const withUrl = (url: string, change: (url: URL) => void) => {
  const changed = new URL(url)
  change(changed)
  return changed.href
}

test('F20 a wrong password ends the run at once, names user, host and database, and never the password', async () => {
  await using coffer = await startTestCoffer()
  const source = await createTestDatabase()
  const part = await failedPart(
    coffer,
    'DATABASE',
    withUrl(source.url, (url) => (url.password = 'canary-8f3a')),
  )
  expect(part.attempt).toBe(1)
  expect(part.errors).toMatchObject([{ code: 'SOURCE_AUTH_FAILED', attempt: 1 }])
  expect(part.errors[0]?.message).toContain(`127.0.0.1:${new URL(source.url).port}/${source.name}`)
  expect(JSON.stringify(part)).not.toContain('canary-8f3a')
  await source.drop()
})

test('F20 an unknown database ends the run at once and is named', async () => {
  await using coffer = await startTestCoffer()
  const source = await createTestDatabase()
  const part = await failedPart(
    coffer,
    'DATABASE',
    withUrl(source.url, (url) => (url.pathname = '/no-such-thing')),
  )
  expect(part.errors).toMatchObject([{ code: 'SOURCE_DATABASE_UNKNOWN' }])
  expect(part.errors[0]?.message).toContain('no-such-thing')
  await source.drop()
})

test('F20 a host that refuses connections is tried again, then fails with the address', async () => {
  const closed = createServer().listen(0, '127.0.0.1')
  await once(closed, 'listening')
  const address = closed.address()
  const port = typeof address === 'object' ? address?.port : undefined
  closed.close()
  await using coffer = await startTestCoffer()
  const part = await failedPart(coffer, 'DATABASE', `postgres://u:p@127.0.0.1:${port}/shop`)
  expect(part.errors.map(({ code, attempt }) => [code, attempt])).toEqual([
    ['SOURCE_UNREACHABLE', 1],
    ['SOURCE_UNREACHABLE', 2],
    ['SOURCE_UNREACHABLE', 3],
  ])
  expect(part.errors[0]?.message).toContain(`127.0.0.1:${port}`)
})

test('a missing media folder ends the run at once and is named', async () => {
  await using coffer = await startTestCoffer()
  const path = join(coffer.folder, 'media', 'gone')
  const part = await failedPart(coffer, 'STORAGE', pathToFileURL(path).href)
  expect(part.errors).toMatchObject([{ code: 'MEDIA_ROOT_MISSING', attempt: 1 }])
  expect(part.errors[0]?.message).toContain(path)
})

test.each([
  ['a folder outside the roots', () => '/etc'],
  ['the data folder itself', (coffer: TestCoffer) => coffer.folder],
  ['the store', (coffer: TestCoffer) => join(coffer.folder, 'store')],
])('%s is refused by its real path, at once', async (_name, choose) => {
  await using coffer = await startTestCoffer()
  await mkdir(join(coffer.folder, 'store'), { recursive: true })
  const disguise = join(coffer.folder, 'media', 'link')
  await symlink(choose(coffer), disguise)
  const part = await failedPart(coffer, 'STORAGE', pathToFileURL(disguise).href)
  expect(part.errors).toMatchObject([{ code: 'CONNECTION_REFUSED_BY_POLICY', attempt: 1 }])
})

test('F27 media that had files and is empty now fails; media that always was empty is a success with no files', async () => {
  await using coffer = await startTestCoffer()
  const media = await coffer.mediaRoot('shop')
  await coffer.addService('STORAGE', media.url)
  await coffer.worker()
  const empty = await coffer.ended((await coffer.backup()).uuid)
  expect(empty.success).toBe('SUCCESS')
  await fillFolder(media.path, 3)
  expect((await coffer.ended((await coffer.backup()).uuid)).success).toBe('SUCCESS')
  await rm(join(media.path, 'folder-0'), { recursive: true })
  const failed = await coffer.ended((await coffer.backup()).uuid)
  expect(failed.success).toBe('FAILURE')
  expect((await coffer.parts(failed.uuid))[0]?.errors).toMatchObject([{ code: 'MEDIA_EMPTIED' }])
})

test('F32 a store that refuses ends the run at once, and nothing is half stored', async () => {
  await using s3 = await startS3Server()
  await using coffer = await startTestCoffer({ s3 })
  const source = await createTestDatabase()
  await fillTable(source.url, 100)
  s3.fault({ op: 'PutObject', kind: 'status', status: 403, code: 'AccessDenied', times: 1000 })
  const part = await failedPart(coffer, 'DATABASE', source.url)
  expect(part.errors).toMatchObject([{ code: 'STORE_REFUSED', attempt: 1 }])
  expect(part.errors[0]?.message).toContain('AccessDenied')
  await source.drop()
})
