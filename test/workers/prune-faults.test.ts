import { expect, test } from 'vitest'
import { ringPrune } from '../../shared/catalog/prune-bells.ts'
import { processPrune } from '../../workers/prune/process-prune.ts'
import { pruneEnvironment } from '../../workers/prune/prune-environment.ts'
import { startClockedWorker, type ClockedWorker } from '../support/clocked-worker.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { startS3Server } from '../support/s3-server/server.ts'
import { sealBackup, sealOnDemand } from '../support/sealed-backups.ts'
import { until } from '../support/until.ts'

const MEDIA = 'file:///nowhere'

const stateOf = async ({ catalog }: TestCoffer, id: string | undefined) =>
  (await catalog.query<{ state: string }>('SELECT state FROM service_instance_backups WHERE id = $1', [id]))[0]?.state

const openAlerts = ({ catalog }: TestCoffer) =>
  catalog.query('SELECT kind, subject FROM alerts WHERE resolved_at IS NULL')

const bellOf = ({ environmentId }: TestCoffer) => ({ data: { id: environmentId, attempt: 1 }, attemptsMade: 0 })

test('F15 a store that fails to delete one object stops no other, is told to people, and is asked again by the next prune', async () => {
  await using s3 = await startS3Server()
  await using coffer = await startTestCoffer({ s3 })
  await using worker = await startClockedWorker(coffer, { now: new Date() })
  await coffer.addService('STORAGE', MEDIA)
  const [stuck, fine] = await sealOnDemand(coffer, worker, [70, 60, 50, 40, 35])
  const [part = ''] = stuck?.parts ?? []
  s3.fault({
    kind: 'status',
    status: 500,
    code: 'InternalError',
    op: 'DeleteObject',
    key: `${stuck?.id}.*age$`,
    times: 1000,
  })

  await expect(processPrune(worker.context, bellOf(coffer))).rejects.toMatchObject({
    code: 'PRUNE_INCOMPLETE',
    details: { failed: [part], deleted: fine?.parts },
  })
  expect(await stateOf(coffer, part)).toBe('DELETING')
  expect(await openAlerts(coffer)).toEqual([{ kind: 'prune-failed', subject: part }])
  const left = (await coffer.objects()).filter((key) => key.includes(stuck?.id ?? ''))
  expect(left.some((key) => key.endsWith('manifest.json'))).toBe(false)
  expect(left.some((key) => key.endsWith('.age'))).toBe(true)
})

test('F15 the next prune finishes what was stuck when the store works again, and the alert ends', async () => {
  await using s3 = await startS3Server()
  await using coffer = await startTestCoffer({ s3 })
  await using worker = await startClockedWorker(coffer, { now: new Date() })
  await coffer.addService('STORAGE', MEDIA)
  const [stuck] = await sealOnDemand(coffer, worker, [60, 50, 40, 35])
  const fault = s3.fault({ kind: 'status', status: 403, code: 'AccessDenied', op: 'DeleteObject', key: `${stuck?.id}` })
  await expect(processPrune(worker.context, bellOf(coffer))).rejects.toMatchObject({ code: 'PRUNE_INCOMPLETE' })
  expect(fault.struckTimes).toBe(1)

  expect(await processPrune(worker.context, bellOf(coffer))).toBe('deleted 1')
  expect(await stateOf(coffer, stuck?.parts[0])).toBe('DELETED')
  expect(await openAlerts(coffer)).toEqual([])
  expect((await coffer.objects()).filter((key) => key.includes(stuck?.id ?? ''))).toEqual([])
})

test.each(['prune-labelled', 'prune-deleting', 'prune-manifest-gone', 'prune-objects-gone'])(
  'F15 a prune that is killed at %s is finished by the next, with the same result',
  async (step) => {
    await using coffer = await startTestCoffer({ env: { COFFER_RECONCILE_SECONDS: '60', COFFER_SWEEP_SECONDS: '600' } })
    await using sealer = await startClockedWorker(coffer, { now: new Date() })
    await coffer.addService('STORAGE', MEDIA)
    await sealOnDemand(coffer, sealer, [70, 60, 50, 40, 35])
    for (const age of [2, 1, 0]) await sealScheduled(coffer, sealer, age)
    const { plan } = await pruneEnvironment(sealer.context, coffer.environmentId, { dryRun: true })
    const verdicts = plan.flatMap((instance) => instance.verdicts)
    const doomed = await coffer.worker({ killAt: step })
    await ringPrune(coffer.catalog, coffer.environmentId)
    coffer.ringer.nudge()
    await doomed.ended
    expect(doomed.output()).toContain(`SIGKILL at ${step}`)
    // It may have been verifying one meanwhile, which is kept until that lease has lapsed.
    await until(async () => (await coffer.catalog.query('SELECT 1 FROM leases WHERE expires_at > now()')).length === 0)

    await until(
      async () =>
        (await pruneEnvironment(sealer.context, coffer.environmentId, { dryRun: false })).outcome === 'pruned',
    )

    const rows = await coffer.catalog.query<{ id: string; label: string | null; state: string }>(
      'SELECT id, label, state FROM service_instance_backups',
    )
    const result = new Map(rows.map(({ id, state, label }) => [id, state === 'COMPLETED' ? label : state]))
    expect(result).toEqual(
      new Map(verdicts.map(({ id, action, label }) => [id, action === 'keep' ? label : 'DELETED'])),
    )
    expect(verdicts.filter(({ action }) => action === 'delete')).toHaveLength(2)
    expect(await coffer.objects()).toHaveLength(6 * 3)
  },
)

const sealScheduled = (coffer: TestCoffer, sealer: ClockedWorker, age: number) =>
  sealBackup(coffer, sealer, { at: new Date(sealer.now.getTime() - age * 86_400_000 - 1000) })
