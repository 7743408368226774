import { mkdir, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'

let coffer: TestCoffer
let ours: { path: string; url: string }
let serviceId: string

beforeEach(async () => {
  coffer = await startTestCoffer()
  ours = await coffer.mediaRoot('ours')
  await mkdir(join(ours.path, 'shop'))
  await writeFile(join(ours.path, 'shop', 'a.txt'), 'ours')
  serviceId = await coffer.addService('STORAGE', pathToFileURL(join(ours.path, 'shop')).href)
  await coffer.worker()
})
afterEach(() => coffer[Symbol.asyncDispose]())

/** As if an admin of the organisation had registered the service instance, within these folders. */
async function boundTo(roots: string[]): Promise<void> {
  await coffer.catalog.query('UPDATE organisations SET media_roots = $1', [roots])
  await coffer.catalog.query(`UPDATE service_instances SET egress = 'organisation' WHERE id = $1`, [serviceId])
}

async function endOfBackup() {
  const { uuid } = await coffer.backup()
  const { success } = await coffer.ended(uuid)
  const [part] = await coffer.parts(uuid)
  return { success, code: part?.errors[0]?.code ?? null, message: part?.errors[0]?.message ?? '' }
}

test('a folder that became a link into the folder of another organisation is not read', async () => {
  await boundTo([ours.path])
  expect(await endOfBackup()).toMatchObject({ success: 'SUCCESS' })
  const theirs = await coffer.mediaRoot('theirs')
  await writeFile(join(theirs.path, 'b.txt'), 'theirs')
  await rename(join(ours.path, 'shop'), join(ours.path, 'old'))
  await symlink(theirs.path, join(ours.path, 'shop'))
  expect(await endOfBackup()).toEqual({
    success: 'FAILURE',
    code: 'CONNECTION_REFUSED_BY_POLICY',
    message: expect.stringContaining('does not lie under a folder of its organisation') as string,
  })
})

test('a folder that an organisation has lost since is not read', async () => {
  await boundTo([])
  expect(await endOfBackup()).toMatchObject({ success: 'FAILURE', code: 'CONNECTION_REFUSED_BY_POLICY' })
})

test('a folder that has become a store is not read as media, whoever registered it', async () => {
  await coffer.catalog.query(
    `INSERT INTO stores (id, name, url, region, is_default, created_at) VALUES (gen_random_uuid(), 'second', $1, '', false, now())`,
    [pathToFileURL(join(ours.path, 'shop')).href],
  )
  expect(await endOfBackup()).toMatchObject({ success: 'FAILURE', code: 'CONNECTION_REFUSED_BY_POLICY' })
})
