import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { settleRestore } from '../../shared/catalog/restore-requests.ts'
import { startClockedWorker } from '../support/clocked-worker.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { createTestDatabase, type TestDatabase } from '../support/databases.ts'
import {
  backUp,
  changedDatabase,
  changedMedia,
  endOfPart,
  endOfRestore,
  partOf,
  seen,
  startRestore,
  stateOfDatabase,
} from '../support/restore-requests.ts'
import { inDatabase } from '../support/sample-data.ts'
import { until } from '../support/until.ts'

const SCOPE = { organisationId: null }
let scope: AsyncDisposableStack
let coffer: TestCoffer
let source: TestDatabase

beforeEach(async () => {
  scope = new AsyncDisposableStack()
  coffer = scope.use(await startTestCoffer())
  scope.use(await startClockedWorker(coffer, { now: new Date(), listens: true }))
  source = await createTestDatabase()
  scope.defer(() => source.drop())
})

afterEach(() => scope.disposeAsync())

const settled = (id: string) =>
  until(async () => {
    const part = await partOf(coffer, id)
    return part.action_state === 'COMPLETED' && part
  })

const settle = async (id: string, action: 'confirm' | 'undo') => {
  await settleRestore(coffer.catalog, id, action, SCOPE)
  coffer.ringer.nudge()
  return settled(id)
}

/** Databases on the server that belong to the restore of this part. */
const databasesOf = (uuid: string) =>
  inDatabase(source.url, `SELECT datname FROM pg_database WHERE datname LIKE 'coffer%${uuid.replaceAll('-', '')}%'`)

test('a living database and living media of one environment are what they were, and nothing newer is left in them', async () => {
  const database = await changedDatabase(coffer, source.url)
  const media = await changedMedia(coffer)
  const backupId = await backUp(coffer, [database.serviceId, media.serviceId])
  const state = await stateOfDatabase(source.url)
  await inDatabase(source.url, `DELETE FROM later; DELETE FROM item WHERE id > 5; CREATE TABLE newest ()`)
  await writeFile(join(media.path, 'newest.txt'), 'newest')

  const restore = await endOfRestore(coffer, await startRestore(coffer, backupId))

  expect(restore).toMatchObject({ success: 'SUCCESS' })
  expect(await stateOfDatabase(source.url)).toEqual(state)
  expect(seen(media.path)).toEqual(media.after)
  expect(
    restore.service_instance_restores.map((part) => [part.kept_until_confirmed, part.safety_backup !== null]),
  ).toEqual(
    expect.arrayContaining([
      [true, true],
      [false, true],
    ]),
  )
})

test('the old database is kept until the restore is confirmed, and then gone for good', async () => {
  const { backupId, before } = await changedDatabase(coffer, source.url)
  const id = await startRestore(coffer, backupId)
  const part = await endOfPart(coffer, id)
  expect(part).toMatchObject({ success: 'SUCCESS', kept_until_confirmed: true, confirmed_at: null })
  expect(await databasesOf(part.uuid)).toHaveLength(1)

  const confirmed = await settle(id, 'confirm')
  expect(confirmed).toMatchObject({ success: 'SUCCESS', state: 'COMPLETED', kept_until_confirmed: false, errors: [] })
  expect(confirmed.confirmed_at).not.toBeNull()
  expect(await databasesOf(part.uuid)).toEqual([])
  expect(await stateOfDatabase(source.url)).toEqual(before)
  await expect(settleRestore(coffer.catalog, id, 'undo', SCOPE)).rejects.toMatchObject({ code: 'CONFLICT' })
})

test('a restore is undone: the database is again what it was before, and nothing else is left', async () => {
  const { backupId, after } = await changedDatabase(coffer, source.url)
  const id = await startRestore(coffer, backupId)
  const { uuid } = await endOfPart(coffer, id)

  const undone = await settle(id, 'undo')
  expect(undone).toMatchObject({ success: 'SUCCESS', kept_until_confirmed: false, errors: [] })
  expect(undone.undone_at).not.toBeNull()
  expect(await stateOfDatabase(source.url)).toEqual(after)
  expect(await databasesOf(uuid)).toEqual([])
})

test('an undo that cannot be done says why, and leaves the old state to be confirmed', async () => {
  const { backupId, before } = await changedDatabase(coffer, source.url)
  const first = await startRestore(coffer, backupId)
  await endOfPart(coffer, first)
  await endOfPart(coffer, await startRestore(coffer, backupId))

  const refused = await settle(first, 'undo')
  expect(refused).toMatchObject({ kept_until_confirmed: true, undone_at: null, errors: [{ code: 'CONFLICT' }] })
  expect(refused.errors[0]?.message).toContain('another restore has come since')
  expect(await stateOfDatabase(source.url)).toEqual(before)
  expect(await settle(first, 'confirm')).toMatchObject({ kept_until_confirmed: false })
})

test('another target that holds data needs its name, whatever else stands against it is said with it, and nothing is written', async () => {
  const { backupId, before } = await changedDatabase(coffer, source.url)
  const target = await createTestDatabase()
  await inDatabase(target.url, `CREATE TABLE precious AS SELECT 1 AS one`)
  const into = { DATABASE: await coffer.addService('DATABASE', target.url, 'OTHER') }

  const unconfirmed = await endOfPart(coffer, await startRestore(coffer, backupId, { into }))
  expect(unconfirmed).toMatchObject({
    success: 'FAILURE',
    safety_backup: null,
    errors: [{ code: 'RESTORE_UNCONFIRMED' }],
  })
  expect(unconfirmed.errors[0]?.message).toContain('"confirm": "shop/live" is needed')

  const selection = { tables: ['public.no_such'], schemas: ['nowhere'], paths: [] }
  const wrong = await endOfPart(coffer, await startRestore(coffer, backupId, { into, selection }))
  expect(wrong.errors).toMatchObject([{ code: 'TARGET_INCOMPATIBLE' }])
  expect(wrong.errors[0]?.message).toMatch(
    /no_such.*nowhere.*"confirm": "shop\/live" is needed|nowhere.*no_such.*"confirm"/,
  )
  expect(await inDatabase(target.url, 'SELECT one FROM precious')).toEqual([{ one: 1 }])

  const confirmed = await endOfPart(coffer, await startRestore(coffer, backupId, { into, confirm: 'shop/live' }))
  expect(confirmed).toMatchObject({ success: 'SUCCESS' })
  expect(await stateOfDatabase(target.url)).toEqual(before)
  await target.drop()
})

test('one table and one file are restored, and all else stays as it is', async () => {
  const database = await changedDatabase(coffer, source.url)
  await inDatabase(source.url, 'DROP TABLE later')
  await inDatabase(source.url, `CREATE TABLE untouched AS SELECT 1 AS one`)
  const rows = await endOfPart(
    coffer,
    await startRestore(coffer, database.backupId, { selection: { tables: ['public.item'], schemas: [], paths: [] } }),
  )
  expect(rows).toMatchObject({ errors: [], success: 'SUCCESS', selection: { tables: ['public.item'] } })
  const [, items] = await stateOfDatabase(source.url)
  expect(items).toMatchObject([{ rows: 500, hash: (database.before[1] as { hash: string }[])[0]?.hash }])
  expect(await inDatabase(source.url, 'SELECT one FROM untouched')).toEqual([{ one: 1 }])

  const media = await changedMedia(coffer)
  const selection = { tables: [], schemas: [], paths: ['folder-0/file-0.txt'] }
  const file = await endOfPart(coffer, await startRestore(coffer, media.backupId, { selection }))
  expect(file).toMatchObject({ success: 'SUCCESS' })
  const expected = media.after.map((entry) =>
    entry.path === 'folder-0/file-0.txt' ? (media.before.find(({ path }) => path === entry.path) ?? entry) : entry,
  )
  expect(seen(media.path)).toEqual(expected)
})

test.each(['DATABASE', 'STORAGE'] as const)('a corrupt artifact leaves a living %s as it was', async (type) => {
  const kind = type === 'DATABASE' ? await changedDatabase(coffer, source.url, 5_000) : await changedMedia(coffer, 500)
  const state = () =>
    type === 'DATABASE' ? stateOfDatabase(source.url) : Promise.resolve(seen(join(coffer.folder, 'media/shop')))
  const before = await state()
  const key =
    (await coffer.objects()).find(
      (name) => /(dump|tar)\.zst\.age$|media\.tar/.test(name) || name.includes('dump.pgdump'),
    ) ?? ''
  const path = join(coffer.folder, 'store', key)
  const bytes = await readFile(path)
  const middle = Math.floor(bytes.length / 2)
  bytes[middle] = (bytes[middle] ?? 0) ^ 1
  await writeFile(path, bytes)

  const part = await endOfPart(coffer, await startRestore(coffer, kind.backupId))

  expect(part).toMatchObject({ success: 'FAILURE', errors: [{ code: 'ARTIFACT_CORRUPT' }] })
  expect(await state()).toEqual(before)
  expect(await databasesOf(part.uuid)).toEqual([])
})
