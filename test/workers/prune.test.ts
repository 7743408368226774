import { expect, test } from 'vitest'
import { deleteEnvironment } from '../../shared/catalog/environments.ts'
import { holdBackup, setDeletionDate } from '../../shared/catalog/holds.ts'
import { ringPrunesDue } from '../../shared/catalog/prune-bells.ts'
import { readText } from '../../shared/storage/text-objects.ts'
import { processPrune } from '../../workers/prune/process-prune.ts'
import { pruneEnvironment } from '../../workers/prune/prune-environment.ts'
import { startClockedWorker, type ClockedWorker } from '../support/clocked-worker.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { startS3Server } from '../support/s3-server/server.ts'
import { daysBefore, sealBackup, sealOnDemand } from '../support/sealed-backups.ts'
import { until } from '../support/until.ts'

const SCOPE = { organisationId: null }
const NOW = new Date('2031-05-20T12:00:00.000Z')
const MEDIA = 'file:///nowhere'

const prune = ({ environmentId }: TestCoffer, { context }: ClockedWorker) =>
  pruneEnvironment(context, environmentId, { dryRun: false })

async function states({ catalog }: TestCoffer): Promise<string[]> {
  const rows = await catalog.query<{ state: string }>(
    'SELECT state FROM service_instance_backups ORDER BY queued_at, id',
  )
  return rows.map(({ state }) => state)
}

test('a prune deletes what its dry run says, with all objects, and nothing else', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  await coffer.addService('STORAGE', MEDIA)
  const [oldest, ...others] = await sealOnDemand(coffer, worker, [60, 50, 40, 35, 5])
  const dry = await pruneEnvironment(worker.context, coffer.environmentId, { dryRun: true })
  expect(await states(coffer)).toEqual(Array(5).fill('COMPLETED'))

  const report = await prune(coffer, worker)

  expect(report.plan).toEqual(dry.plan)
  expect(report.deleted).toEqual(oldest?.parts)
  expect(await states(coffer)).toEqual(['DELETED', ...Array<string>(4).fill('COMPLETED')])
  const backups = await coffer.catalog.query('SELECT id FROM backups WHERE state = $1 AND deleted_at = $2', [
    'DELETED',
    NOW,
  ])
  expect(backups).toEqual([{ id: oldest?.id }])
  const objects = await coffer.objects()
  expect(objects).toHaveLength(4 * 3)
  expect(objects.every((key) => others.some(({ id }) => key.includes(id)))).toBe(true)
  expect((await prune(coffer, worker)).deleted).toEqual([])
})

test('a backup that becomes useful rings for a prune through Redis, which labels it', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW, listens: true })
  await coffer.addService('STORAGE', MEDIA)
  await sealBackup(coffer, worker, { at: NOW })
  await until(async () => {
    const [part] = await coffer.catalog.query<{ label: string | null }>('SELECT label FROM service_instance_backups')
    return part?.label === 'daily'
  })
})

test('F43 bells for environments that nobody knows do nothing', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  for (const id of ['00000000-0000-4000-8000-000000000000', '../..', "'; DROP TABLE backups"])
    expect(await processPrune(worker.context, { data: { id, attempt: 1 }, attemptsMade: 0 })).toMatch(/^nothing to do/)
})

test('a second prune of an environment at the same time leaves it to the first, and rings again', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  const bell = { data: { id: coffer.environmentId, attempt: 1 }, attemptsMade: 0 }
  await coffer.catalog.exclusively(`coffer prune ${coffer.environmentId}`, async () => {
    expect(
      await processPrune({ ...worker.context, ringer: { ...coffer.ringer, nudge: () => undefined } }, bell),
    ).toMatch(/^waits/)
  })
  expect(await coffer.catalog.query('SELECT queue FROM outbox')).toEqual([{ queue: 'prune' }])
})

test('state.json follows label, hold and deletion date, and nothing is written when nothing has changed', async () => {
  await using s3 = await startS3Server()
  await using coffer = await startTestCoffer({ s3 })
  await using worker = await startClockedWorker(coffer, { now: NOW })
  await coffer.addService('STORAGE', MEDIA)
  const { id, parts } = await sealBackup(coffer, worker, { at: NOW })
  const [key = ''] = (await coffer.objects()).filter((name) => name.endsWith('state.json'))
  const state = async () => JSON.parse((await readText(coffer.store, key)) ?? '') as Record<string, unknown>
  const common = { format: 1, service_instance_backup: parts[0], updated_at: NOW.toISOString() }
  expect(await state()).toEqual({ ...common, label: null, hold: null, scheduled_for_deletion_at: null })

  await prune(coffer, worker)
  expect(await state()).toMatchObject({ label: 'daily' })
  await holdBackup(coffer.catalog, id, { reason: 'audit', by: 'test' }, SCOPE, NOW)
  await setDeletionDate(coffer.catalog, id, daysBefore(NOW, -9), SCOPE, NOW)
  await prune(coffer, worker)
  expect(await state()).toEqual({
    ...common,
    label: 'daily',
    hold: { reason: 'audit', since: NOW.toISOString() },
    scheduled_for_deletion_at: daysBefore(NOW, -9).toISOString(),
  })

  const written = s3.requests.filter(({ op }) => op === 'PutObject').length
  await prune(coffer, worker)
  expect(s3.requests.filter(({ op }) => op === 'PutObject')).toHaveLength(written)
})

test('a prune whose bell was lost with Redis is rung for again', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  await coffer.addService('STORAGE', MEDIA)
  await sealBackup(coffer, worker, { at: NOW })
  await prune(coffer, worker)
  worker.now = daysBefore(NOW, -0.1)
  await sealBackup(coffer, worker, { at: worker.now })
  await coffer.catalog.query('DELETE FROM outbox')
  expect(await ringPrunesDue(coffer.catalog, worker.now)).toBe(1)
  expect(await ringPrunesDue(coffer.catalog, worker.now)).toBe(0)
  await coffer.catalog.query('DELETE FROM outbox')
  await prune(coffer, worker)
  expect(await ringPrunesDue(coffer.catalog, worker.now)).toBe(0)
})

test('every environment with backups is rung for once a day, also a deleted one, and not one without', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  await coffer.addService('STORAGE', MEDIA)
  await sealBackup(coffer, worker, { at: NOW })
  await deleteEnvironment(coffer.catalog, coffer.environmentId, SCOPE, NOW)
  await coffer.addEnvironment('empty')
  await coffer.catalog.query('DELETE FROM outbox')
  const bells = async (now: Date) => {
    await ringPrunesDue(coffer.catalog, now)
    return (
      await coffer.catalog.query<{ job_id: string }>(`DELETE FROM outbox WHERE queue = 'prune' RETURNING job_id`)
    ).map((bell) => bell.job_id)
  }
  expect(await bells(NOW)).toEqual([`${coffer.environmentId}-0`])
  await prune(coffer, worker)
  expect(await bells(daysBefore(NOW, -0.9))).toEqual([])
  expect(await bells(daysBefore(NOW, -1.1))).toEqual([`${coffer.environmentId}-0`])
  // A prune that was tried at a time that never came must not silence the bell.
  expect(await bells(daysBefore(NOW, 1))).toEqual([`${coffer.environmentId}-0`])
})
