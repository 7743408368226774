import { expect, test } from 'vitest'
import { retentionView } from '../../shared/catalog/retention.ts'
import { pruneEnvironment } from '../../workers/prune/prune-environment.ts'
import { startClockedWorker } from '../support/clocked-worker.ts'
import { startTestCoffer } from '../support/coffer.ts'
import { daysBefore, sealBackup } from '../support/sealed-backups.ts'

const NOW = new Date('2031-05-20T12:00:00.000Z')

test('a backup whose parts have not all ended is not judged yet', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  await coffer.addService('DATABASE', 'postgres://u:p@localhost/a')
  await coffer.addService('STORAGE', 'file:///nowhere')
  const { id } = await sealBackup(coffer, worker, { at: daysBefore(NOW, 300), trigger: 'MANUAL', success: 'PARTIAL' })
  await coffer.catalog.query(`UPDATE service_instance_backups SET success = 'FAILURE' WHERE backup_id = $1`, [id])
  const rules = async () => {
    const view = await retentionView(coffer.catalog, coffer.environmentId, { now: NOW })
    return view.map(({ verdicts }) => verdicts.map(({ rule }) => rule))
  }
  expect(await rules()).toEqual([['bad_expired'], ['bad_expired']])

  const [retried] = (await coffer.parts(id)).filter(({ service_type }) => service_type === 'STORAGE')
  await coffer.catalog.query(`UPDATE service_instance_backups SET state = 'QUEUED', success = NULL WHERE id = $1`, [
    retried?.uuid,
  ])
  await coffer.catalog.query(`UPDATE backups SET state = 'RUNNING', success = NULL WHERE id = $1`, [id])
  expect(await rules()).toEqual([['running'], ['running']])
})

test('of a day, the backup of which all parts are good stays, also when a later one has one good part', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  await coffer.addService('DATABASE', 'postgres://u:p@localhost/a')
  await coffer.addService('STORAGE', 'file:///nowhere')
  const whole = await sealBackup(coffer, worker, { at: daysBefore(NOW, 1.2) })
  const half = await sealBackup(coffer, worker, { at: daysBefore(NOW, 1.1) })
  await coffer.catalog.query(
    `UPDATE service_instance_backups s SET success = 'FAILURE' FROM service_instances si
      WHERE si.id = s.service_instance_id AND si.type = 'STORAGE' AND s.backup_id = $1`,
    [half.id],
  )
  await sealBackup(coffer, worker, { at: NOW })

  const { plan } = await pruneEnvironment(worker.context, coffer.environmentId, { dryRun: false })
  const [database] = plan.filter(({ service_type }) => service_type === 'DATABASE')
  expect(database?.verdicts.find(({ backup }) => backup === whole.id)).toMatchObject({ action: 'keep', label: 'daily' })
  expect(database?.verdicts.find(({ backup }) => backup === half.id)).toMatchObject({
    action: 'delete',
    rule: 'bucket_taken',
  })
})
