import { expect, test } from 'vitest'
import { updateEnvironment } from '../../shared/catalog/environments.ts'
import { ensureShippedPlans, getPlan } from '../../shared/catalog/plans.ts'
import { processPrune } from '../../workers/prune/process-prune.ts'
import { fireDueSchedules } from '../../workers/tick/fire-schedules.ts'
import { startClockedWorker, type ClockedWorker } from '../support/clocked-worker.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { createTestDatabase } from '../support/databases.ts'
import { until } from '../support/until.ts'

const DAY_MS = 86_400_000
const SCOPE = { organisationId: null }

interface Kept {
  backup_id: string
  label: string
  key_prefix: string
}

const kept = ({ catalog }: TestCoffer) =>
  catalog.query<Kept>(
    `SELECT backup_id, label, key_prefix FROM service_instance_backups WHERE state = 'COMPLETED' AND success = 'SUCCESS' ORDER BY queued_at`,
  )

/** Goes to the next due time, lets the tick fire it, and waits until Redis has brought the dump and then the prune that labels it. */
async function nextDay(coffer: TestCoffer, worker: ClockedWorker): Promise<void> {
  const [schedule] = await coffer.catalog.query<{ next_due_at: Date }>(
    'SELECT next_due_at FROM schedules WHERE environment_id = $1 AND deleted_at IS NULL',
    [coffer.environmentId],
  )
  worker.now = schedule?.next_due_at ?? worker.now
  await takeDue(coffer, worker)
}

async function takeDue({ catalog, ringer, environmentId }: TestCoffer, worker: ClockedWorker): Promise<void> {
  expect(await fireDueSchedules(worker.context)).toBe(1)
  ringer.nudge()
  await until(async () => {
    const [newest] = await catalog.query<{ done: boolean }>(
      `SELECT e.last_pruned_at = $2 AND s.label IS NOT NULL AND s.state_written IS NOT NULL AS done
         FROM backups b JOIN environments e ON e.id = b.environment_id JOIN service_instance_backups s ON s.backup_id = b.id
        WHERE e.id = $1 ORDER BY b.created_at DESC LIMIT 1`,
      [environmentId, worker.now],
    )
    return newest?.done
  })
}

test('a year in a minute: of 400 daily backups with an outage of 45 days 12 monthly, 4 weekly and 7 daily are left, and so are exactly their objects', async () => {
  await using coffer = await startTestCoffer()
  const source = await createTestDatabase()
  await coffer.addService('DATABASE', source.url)
  await using worker = await startClockedWorker(coffer, { now: new Date('2030-01-01T12:00:00Z'), listens: true })
  await ensureShippedPlans(coffer.catalog, worker.now)
  const plan = await getPlan(coffer.catalog, 'default')
  await updateEnvironment(coffer.catalog, coffer.environmentId, SCOPE, { planId: plan.uuid }, worker.now)

  for (let day = 0; day < 200; day++) await nextDay(coffer, worker)
  const before = await kept(coffer)
  worker.now = new Date(worker.now.getTime() + 45 * DAY_MS)
  await processPrune(worker.context, { data: { id: coffer.environmentId, attempt: 0 }, attemptsMade: 0 })
  expect(await kept(coffer)).toEqual(before)
  // What is due now is the newest due time of the outage: taken late, and the first of the other 200.
  await takeDue(coffer, worker)
  for (let day = 0; day < 199; day++) await nextDay(coffer, worker)

  const taken = await coffer.catalog.query(`SELECT 1 FROM backups WHERE success = 'SUCCESS'`)
  expect(taken).toHaveLength(400)
  const after = await kept(coffer)
  const labels = after.map(({ label }) => label)
  expect(labels).toEqual([
    ...Array<string>(12).fill('monthly'),
    ...Array<string>(4).fill('weekly'),
    ...Array<string>(7).fill('daily'),
  ])
  const objects = after.flatMap(({ key_prefix }) =>
    ['dump.pgdump.zst.age', 'manifest.json', 'state.json'].map((name) => `${key_prefix}${name}`),
  )
  expect(await coffer.objects()).toEqual(objects.sort())
  await source.drop()
}, 300_000)
