import { expect, test } from 'vitest'
import { cancelBackup, retryBackup } from '../../shared/catalog/backup-requests.ts'
import { startTestCoffer } from '../support/coffer.ts'
import { createTestDatabase } from '../support/databases.ts'
import { fillTable, inDatabase } from '../support/sample-data.ts'
import { until } from '../support/until.ts'

const SCOPE = { organisationId: null }

test('F9 a backup that waits is cancelled at once; one that has ended cannot be cancelled', async () => {
  await using coffer = await startTestCoffer()
  const source = await createTestDatabase()
  await coffer.addService('DATABASE', source.url)
  const { uuid } = await coffer.backup()
  expect(await cancelBackup(coffer.catalog, uuid, SCOPE, new Date())).toMatchObject({
    state: 'COMPLETED',
    success: 'CANCELLED',
  })
  await expect(cancelBackup(coffer.catalog, uuid, SCOPE, new Date())).rejects.toMatchObject({ code: 'CONFLICT' })
  await source.drop()
})

test('F9 cancelling a dump that hangs on a lock kills pg_dump and leaves nothing; retry takes it after all', async () => {
  await using coffer = await startTestCoffer()
  const source = await createTestDatabase()
  await fillTable(source.url, 1_000)
  await coffer.addService('DATABASE', source.url)
  const worker = await coffer.worker()
  const { Client } = await import('pg')
  const locker = new Client({ connectionString: source.url })
  await locker.connect()
  await locker.query('BEGIN; LOCK TABLE item IN ACCESS EXCLUSIVE MODE')
  const { uuid } = await coffer.backup()
  const dumping = async () =>
    (
      await inDatabase(
        source.url,
        `SELECT pid FROM pg_stat_activity WHERE application_name = 'pg_dump' AND datname = current_database()`,
      )
    ).length > 0
  await until(dumping)

  await cancelBackup(coffer.catalog, uuid, SCOPE, new Date())
  const backup = await coffer.ended(uuid)
  expect(backup.success).toBe('CANCELLED')
  await until(async () => !(await dumping()))
  expect(await coffer.objects()).toEqual([])
  await locker.end()

  await retryBackup(coffer.catalog, uuid, SCOPE, { maxTries: 3, now: new Date() })
  coffer.ringer.nudge()
  expect((await coffer.ended(uuid)).success).toBe('SUCCESS')
  await worker.stop()
  await source.drop()
})

test('F7 a dump that moves no bytes is ended by the watchdog and tried again', async () => {
  await using coffer = await startTestCoffer({ env: { COFFER_WATCHDOG_SECONDS: '1' } })
  const source = await createTestDatabase()
  await fillTable(source.url, 1_000)
  await coffer.addService('DATABASE', source.url)
  await coffer.worker()
  const { Client } = await import('pg')
  const locker = new Client({ connectionString: source.url })
  await locker.connect()
  await locker.query('BEGIN; LOCK TABLE item IN ACCESS EXCLUSIVE MODE')
  const { uuid } = await coffer.backup()
  const stalled = await until(async () => (await coffer.parts(uuid))[0]?.errors[0])
  expect(stalled).toMatchObject({ code: 'RUN_STALLED', attempt: 1 })
  await locker.end()
  expect((await coffer.ended(uuid)).success).toBe('SUCCESS')
  await source.drop()
})
