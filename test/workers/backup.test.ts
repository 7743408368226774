import { expect, test } from 'vitest'
import { MANIFEST_NAME } from '../../shared/domain/manifest.ts'
import { decodeManifest } from '../../shared/manifest.ts'
import { readText } from '../../shared/storage/text-objects.ts'
import { startTestCoffer } from '../support/coffer.ts'
import { createTestDatabase } from '../support/databases.ts'
import { fillFolder, fillTable } from '../support/sample-data.ts'

test('a backup of a database and a media folder is stored, signed and recorded', async () => {
  await using coffer = await startTestCoffer()
  const source = await createTestDatabase()
  await fillTable(source.url, 1000)
  const media = await coffer.mediaRoot('shop')
  await fillFolder(media.path, 250)
  await coffer.addService('DATABASE', source.url)
  await coffer.addService('STORAGE', media.url)
  await coffer.worker()

  const { uuid } = await coffer.backup()
  const backup = await coffer.ended(uuid)
  const parts = await coffer.parts(uuid)

  expect(parts.map(({ errors, warnings }) => ({ errors, warnings }))).toEqual([
    { errors: [], warnings: [] },
    { errors: [], warnings: [] },
  ])
  expect(backup).toMatchObject({ state: 'COMPLETED', success: 'SUCCESS' })
  const objects = await coffer.objects()
  const names = objects.map((key) => key.split('/').slice(-2).join('/'))
  expect(names).toEqual([
    'DEFAULT-DATABASE.1/dump.pgdump.zst.age',
    'DEFAULT-DATABASE.1/manifest.json',
    'DEFAULT-DATABASE.1/state.json',
    'DEFAULT-STORAGE.1/files.ndjson.zst.age',
    'DEFAULT-STORAGE.1/manifest.json',
    'DEFAULT-STORAGE.1/media.tar.zst.age',
    'DEFAULT-STORAGE.1/state.json',
  ])
  const [database, storage] = await Promise.all(
    objects
      .filter((key) => key.endsWith(MANIFEST_NAME))
      .map(async (key) => decodeManifest(coffer.secrets, (await readText(coffer.store, key)) ?? '')),
  )
  expect(database?.contents).toMatchObject({ tables: [{ schema: 'public', name: 'item', rows: 1000 }] })
  expect(storage?.contents).toMatchObject({ files: 250 })
  await source.drop()
})
