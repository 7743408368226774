import { expect, test } from 'vitest'
import { createRestore } from '../../shared/catalog/restore-requests.ts'
import { getRestore } from '../../shared/catalog/restores.ts'
import { startTestCoffer } from '../support/coffer.ts'
import { createTestDatabase } from '../support/databases.ts'
import { inDatabase } from '../support/sample-data.ts'
import { until } from '../support/until.ts'

const SCOPE = { organisationId: null }

test('F7 a restore whose indexes take longer to build than the watchdog waits is not ended by it', async () => {
  await using coffer = await startTestCoffer({ env: { COFFER_WATCHDOG_SECONDS: '1' } })
  const [source, target] = [await createTestDatabase(), await createTestDatabase()]
  await inDatabase(
    source.url,
    `CREATE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM pg_sleep(0.03); RETURN $1; END'`,
    'CREATE TABLE item AS SELECT n FROM generate_series(1, 100) n',
    'CREATE INDEX ON item (slow(n))',
  )
  await coffer.addService('DATABASE', source.url)
  await coffer.worker()
  const { uuid } = await coffer.backup()
  expect((await coffer.ended(uuid)).success).toBe('SUCCESS')
  const [part] = await coffer.parts(uuid)
  const restore = await createRestore(coffer.catalog, {
    backupId: uuid,
    targets: [
      {
        serviceInstanceBackupId: part?.uuid ?? '',
        serviceInstanceId: await coffer.addService('DATABASE', target.url, 'TARGET'),
      },
    ],
    notes: '',
    scope: SCOPE,
    now: new Date(),
  })
  coffer.ringer.nudge()

  const ended = await until(async () => {
    const view = await getRestore(coffer.catalog, restore.uuid, SCOPE)
    return view.finished && view
  })
  expect(ended.service_instance_restores).toMatchObject([{ success: 'SUCCESS', errors: [], report: { rows: 100 } }])
  await source.drop()
  await target.drop()
})
