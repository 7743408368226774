import { expect, test } from 'vitest'
import { createBackup } from '../../shared/catalog/backups.ts'
import { resolveMissedAlerts } from '../../shared/catalog/occurrences.ts'
import { claimRun } from '../../shared/catalog/runs.ts'
import type { ScheduleRule } from '../../shared/domain/schedule-rule.ts'
import { fireDueSchedules } from '../../workers/tick/fire-schedules.ts'
import { startTestCoffer } from '../support/coffer.ts'
import {
  addPlanned,
  firingAt,
  occurrences,
  openAlerts,
  parts,
  scheduledBackups,
  sealAll,
} from '../support/schedules.ts'

const SCOPE = { organisationId: null }
const NIGHTLY: ScheduleRule = { name: 'nightly', kind: 'cron', cron: '30 2 * * *' }
const at = (time: string) => new Date(`${time}Z`)

test('F10 after an outage of three days one backup is made, late, and the other due times are missed', async () => {
  await using coffer = await startTestCoffer()
  await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'Europe/Zurich', now: at('2026-05-01T12:00') })
  const context = firingAt(coffer, at('2026-05-05T23:00'))
  expect(await fireDueSchedules(context)).toBe(1)
  expect(await fireDueSchedules(context)).toBe(0)
  expect(await scheduledBackups(coffer)).toMatchObject([
    { due_at: at('2026-05-05T00:30'), bucket_date: '2026-05-05', late: true },
  ])
  expect(await occurrences(coffer)).toEqual([
    ...['02', '03', '04'].map((day) => ({ due_at: at(`2026-05-${day}T00:30`), state: 'missed', has_backup: false })),
    { due_at: at('2026-05-05T00:30'), state: 'fired', has_backup: true },
  ])
  const [alert] = await coffer.catalog.query<{ message: string }>(`SELECT message FROM alerts WHERE kind = 'missed'`)
  expect(alert?.message).toBe(
    'planned · shop · nightly: 3 due time(s) passed without a backup, the first at 2026-05-02T00:30:00.000Z',
  )
  await resolveMissedAlerts(coffer.catalog, context.clock())
  expect(await openAlerts(coffer)).toEqual(['missed'])
  await sealAll(coffer, at('2026-05-05T23:10'))
  await resolveMissedAlerts(coffer.catalog, at('2026-05-05T23:10'))
  expect(await openAlerts(coffer)).toEqual([])
})

test.each([
  [10, false],
  [11, true],
])('fired %i minutes after its due time, a backup is late: %s', async (minutes, late) => {
  await using coffer = await startTestCoffer()
  await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now: at('2026-05-01T12:00') })
  await fireDueSchedules(firingAt(coffer, new Date(at('2026-05-02T02:30').getTime() + minutes * 60_000)))
  expect(await scheduledBackups(coffer)).toMatchObject([{ late }])
})

test('a backup of which nothing was begun by the next due time is missed; no worker can claim it any more', async () => {
  await using coffer = await startTestCoffer()
  await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now: at('2026-05-01T12:00') })
  const context = firingAt(coffer, at('2026-05-02T02:30'))
  await fireDueSchedules(context)
  context.set(at('2026-05-03T02:30'))
  await fireDueSchedules(context)
  expect(await scheduledBackups(coffer)).toMatchObject([{ success: 'CANCELLED' }, { success: null }])
  const [missed, waiting] = await parts(coffer)
  expect(missed).toMatchObject({
    state: 'COMPLETED',
    success: 'CANCELLED',
    errors: [{ code: 'RUN_MISSED', attempt: 0 }],
  })
  expect(waiting).toMatchObject({ state: 'QUEUED', errors: [] })
  expect((await occurrences(coffer)).map(({ state }) => state)).toEqual(['missed', 'fired'])
  expect(await openAlerts(coffer)).toEqual(['missed'])
  const claim = { id: missed?.id ?? '', attempt: 1, owner: 'test', leaseSeconds: 60, now: context.clock() }
  expect(await claimRun(coffer.catalog, claim)).toEqual({ refused: 'stale' })
})

test('a backup that still runs at the next due time goes on, and the new one waits for it', async () => {
  await using coffer = await startTestCoffer()
  await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now: at('2026-05-01T12:00') })
  const context = firingAt(coffer, at('2026-05-02T02:30'))
  await fireDueSchedules(context)
  const [first] = await parts(coffer)
  const claim = { attempt: 1, owner: 'test', leaseSeconds: 60, now: context.clock() }
  expect(await claimRun(coffer.catalog, { ...claim, id: first?.id ?? '' })).toHaveProperty('claimed')
  context.set(at('2026-05-03T02:30'))
  expect(await fireDueSchedules(context)).toBe(1)
  const [running, waiting] = await parts(coffer)
  expect([running?.state, waiting?.state]).toEqual(['RUNNING', 'QUEUED'])
  expect(await claimRun(coffer.catalog, { ...claim, id: waiting?.id ?? '' })).toEqual({ refused: 'waiting' })
  expect(await openAlerts(coffer)).toEqual([])
})

test('a claim and the next due time at the same moment: either it runs, or it is missed, never both', async () => {
  await using coffer = await startTestCoffer()
  await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now: at('2026-05-01T12:00') })
  const context = firingAt(coffer, at('2026-05-02T02:30'))
  await fireDueSchedules(context)
  for (let day = 3; day < 23; day++) {
    const waiting = (await parts(coffer)).find(({ state }) => state === 'QUEUED')
    context.set(at(`2026-05-${String(day).padStart(2, '0')}T02:30`))
    const request = { id: waiting?.id ?? '', attempt: 1, owner: 'test', leaseSeconds: 60, now: context.clock() }
    const [claim] = await Promise.all([claimRun(coffer.catalog, request), fireDueSchedules(context)])
    const part = (await parts(coffer)).find(({ id }) => id === waiting?.id)
    expect(part?.state).toBe('claimed' in claim ? 'RUNNING' : 'COMPLETED')
    await coffer.catalog.query(
      `UPDATE service_instance_backups SET state = 'COMPLETED', success = 'FAILURE' WHERE state = 'RUNNING'`,
    )
    await coffer.catalog.query(`UPDATE backups SET state = 'COMPLETED', success = 'FAILURE' WHERE state = 'RUNNING'`)
  }
})

test('what was asked for by hand is neither missed nor counted at a due time', async () => {
  await using coffer = await startTestCoffer()
  const { id } = await addPlanned(coffer, { rules: [NIGHTLY], timezone: 'UTC', now: at('2026-05-01T12:00') })
  const now = at('2026-05-02T02:00')
  const input = { environmentId: id, notes: '', scheduledForDeletionAt: null, maxTries: 3, scope: SCOPE, now }
  const manual = await createBackup(coffer.catalog, { ...input, trigger: 'MANUAL' })
  await fireDueSchedules(firingAt(coffer, at('2026-05-02T02:30')))
  const rows = await coffer.catalog.query<{ id: string; state: string }>('SELECT id, state FROM backups')
  expect(rows).toHaveLength(2)
  expect(rows).toContainEqual({ id: manual.uuid, state: 'QUEUED' })
})
