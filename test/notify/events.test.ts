import { expect, test } from 'vitest'
import { raiseAlert, resolveAlert } from '../../shared/catalog/alerts.ts'
import { cancelBackup } from '../../shared/catalog/backup-requests.ts'
import { forgetOldEvents, listEvents } from '../../shared/catalog/events.ts'
import { syncOverdueAlerts } from '../../shared/catalog/overdue.ts'
import { endAttempt } from '../../shared/catalog/run-ends.ts'
import { claimRun } from '../../shared/catalog/runs.ts'
import { finishSeal } from '../../shared/catalog/seals.ts'
import type { TestCoffer } from '../support/coffer.ts'
import { startTestCoffer } from '../support/coffer.ts'
import { addPlanned } from '../support/schedules.ts'
import { addSink, deliveries, happen } from '../support/sinks.ts'

const SCOPE = { organisationId: null }
const now = new Date('2026-05-02T12:00:00Z')

const told = async ({ catalog }: TestCoffer) =>
  (await listEvents(catalog, { scope: SCOPE, page: { limit: 100, offset: 0 } })).rows.reverse()
const kinds = async (coffer: TestCoffer) => (await told(coffer)).map(({ kind }) => kind)

/** Ends all of a backup as its worker would. */
async function end(coffer: TestCoffer, backupId: string, outcomes: ('SUCCESS' | 'PARTIAL' | 'FAILURE')[]) {
  const parts = await coffer.parts(backupId)
  for (const [index, { uuid: id }] of parts.entries()) {
    const claim = await claimRun(coffer.catalog, { id, attempt: 1, owner: 'test', leaseSeconds: 60, now })
    expect(claim).toHaveProperty('claimed')
    const success = outcomes[index] ?? 'SUCCESS'
    const fence = { id, attempt: 1, owner: 'test' }
    if (success === 'FAILURE') {
      const error = {
        code: 'DUMP_FAILED',
        message: 'no luck',
        remedy: 'try',
        attempt: 1,
        at: now.toISOString(),
      } as const
      await endAttempt(coffer.catalog, fence, { next: 'fail', error, delaySeconds: 0, now })
    } else {
      await coffer.catalog.query(
        `UPDATE service_instance_backups SET state = 'SEALING', manifest = '{}' WHERE id = $1`,
        [id],
      )
      expect(await finishSeal(coffer.catalog, fence, { success, now })).toBe('sealed')
    }
  }
}

test('a backup that begins and ends is told once each, however many service instances it has', async () => {
  await using coffer = await startTestCoffer()
  await coffer.addService('DATABASE', 'postgres://u:p@h/d', 'A')
  await coffer.addService('DATABASE', 'postgres://u:p@h/d', 'B')
  const { uuid } = await coffer.backup()
  await end(coffer, uuid, ['SUCCESS', 'SUCCESS'])
  expect(await kinds(coffer)).toEqual(['backup.started', 'backup.success'])
  const [, ended] = await told(coffer)
  expect(ended).toMatchObject({
    message: 'shop/live: the backup succeeded',
    application: 'shop',
    environment_slug: 'live',
    environment: coffer.environmentId,
    backup: uuid,
    facts: {
      trigger: 'MANUAL',
      policy_class: 'on_demand',
      service_instance_backups: [{ prefix: 'A' }, { prefix: 'B' }],
    },
  })
})

test('what failed is told with its reasons, and the first success after it as a recovery', async () => {
  await using coffer = await startTestCoffer()
  await coffer.addService('DATABASE', 'postgres://u:p@h/d', 'A')
  await coffer.addService('DATABASE', 'postgres://u:p@h/d', 'B')
  for (const outcomes of [['FAILURE', 'FAILURE'], ['FAILURE', 'SUCCESS'], [], []] as ('FAILURE' | 'SUCCESS')[][])
    await end(coffer, (await coffer.backup()).uuid, outcomes)
  const events = (await told(coffer)).filter(({ kind }) => kind !== 'backup.started')
  expect(events.map(({ kind }) => kind)).toEqual([
    'backup.failure',
    'backup.partial',
    'backup.success',
    'backup.recovered',
    'backup.success',
  ])
  expect(events[0]?.message).toBe('shop/live: the backup failed; DATABASE:A: no luck; DATABASE:B: no luck')
})

test('the first success while an environment is overdue is a recovery, and only the first', async () => {
  await using coffer = await startTestCoffer()
  const rules = [{ name: 'nightly', kind: 'cron' as const, cron: '30 2 * * *' }]
  const { id } = await addPlanned(coffer, { rules, timezone: 'UTC', now: new Date('2026-05-01T12:00Z') })
  await syncOverdueAlerts(coffer.catalog, now)
  await syncOverdueAlerts(coffer.catalog, new Date(now.getTime() + 60_000))
  for (let backup = 0; backup < 2; backup++) await end(coffer, (await coffer.backup({ environmentId: id })).uuid, [])
  // As firing would have moved it.
  await coffer.catalog.query(`UPDATE schedules SET next_due_at = '2100-01-01'`)
  await syncOverdueAlerts(coffer.catalog, now)
  expect((await kinds(coffer)).filter((kind) => kind !== 'backup.started')).toEqual([
    'overdue.raised',
    'backup.success',
    'backup.recovered',
    'backup.success',
    'overdue.resolved',
  ])
})

test('a backup that a person cancels is no event', async () => {
  await using coffer = await startTestCoffer()
  await coffer.addService('DATABASE', 'postgres://u:p@h/d')
  const { uuid } = await coffer.backup()
  await cancelBackup(coffer.catalog, uuid, SCOPE, now)
  expect(await kinds(coffer)).toEqual([])
})

test('an alert is told when it is raised and when it is resolved, not while it stays open', async () => {
  await using coffer = await startTestCoffer()
  const alert = { kind: 'drill-failed', subject: 'x', environmentId: coffer.environmentId } as const
  for (const message of ['first', 'second']) await raiseAlert(coffer.catalog, { ...alert, message }, now)
  await resolveAlert(coffer.catalog, alert, now)
  await resolveAlert(coffer.catalog, alert, now)
  await raiseAlert(coffer.catalog, { ...alert, message: 'third' }, now)
  const events = (await told(coffer)).map(({ kind, message }) => [kind, message])
  expect(events).toEqual([
    ['drill-failed.raised', 'first'],
    ['drill-failed.resolved', 'second'],
    ['drill-failed.raised', 'third'],
  ])
})

test('what is rolled back was never told', async () => {
  await using coffer = await startTestCoffer()
  const sink = await addSink(coffer, { url: 'https://a.example.com' })
  const alert = { kind: 'lost', subject: 'x', environmentId: coffer.environmentId, message: 'm' } as const
  const rolledBack = coffer.catalog.transaction(async (tx) => {
    await raiseAlert(tx, alert, now)
    throw new Error('rolled back')
  })
  await expect(rolledBack).rejects.toThrow('rolled back')
  expect([await kinds(coffer), await deliveries(coffer, sink)]).toEqual([[], []])
})

test('a sink is told what it asks for: of its organisation, its environments, its kinds', async () => {
  await using coffer = await startTestCoffer()
  const [foreign] = await coffer.catalog.query<{ id: string }>(
    `INSERT INTO organisations (id, slug, name, created_at) VALUES (gen_random_uuid(), 'foreign', 'F', now()) RETURNING id`,
  )
  const other = await coffer.addEnvironment('other')
  const secret = { url: 'https://a.example.com' }
  const sinks = {
    all: await addSink(coffer, secret),
    slack: await addSink(coffer, secret, { format: 'slack' }),
    foreign: await addSink(coffer, secret, { organisationId: foreign?.id ?? '' }),
    other: await addSink(coffer, secret, { environments: [other] }),
    kinds: await addSink(coffer, secret, { kinds: ['backup.started', 'backup.success'] }),
  }
  for (const kind of ['backup.started', 'backup.success', 'backup.failure']) await happen(coffer, { kind })
  await happen(coffer, { kind: 'workers-down.raised', environmentId: null })
  const counts = Object.entries(sinks).map(async ([name, id]) => [name, (await deliveries(coffer, id)).length])
  expect(Object.fromEntries(await Promise.all(counts))).toEqual({ all: 3, slack: 2, foreign: 0, other: 0, kinds: 2 })
})

test('events go after 90 days, unless a sink still waits for them', async () => {
  await using coffer = await startTestCoffer()
  await happen(coffer, { at: now })
  await addSink(coffer, { url: 'https://a.example.com' })
  const waiting = await happen(coffer, { at: now })
  await forgetOldEvents(coffer.catalog, new Date(now.getTime() + 89 * 86_400_000))
  expect(await told(coffer)).toHaveLength(2)
  await forgetOldEvents(coffer.catalog, new Date(now.getTime() + 91 * 86_400_000))
  expect(await told(coffer)).toMatchObject([{ uuid: waiting }])
})
