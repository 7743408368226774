import { afterEach, beforeEach, expect, test } from 'vitest'
import { listOpenAlerts } from '../../shared/catalog/alerts.ts'
import { createPlan } from '../../shared/catalog/plans.ts'
import { enqueueDueVerifications } from '../../shared/catalog/verification-schedule.ts'
import { requeueLapsedVerifications } from '../../shared/catalog/verification-runs.ts'
import { syncVerificationAlerts } from '../../shared/catalog/verification-overdue.ts'
import { getVerification } from '../../shared/catalog/verifications.ts'
import { ringVerificationsDue } from '../../shared/catalog/outbox.ts'
import { DEFAULT_POLICY } from '../../shared/domain/retention/policy.ts'
import type { VerificationPolicy } from '../../shared/domain/verification.ts'
import { processVerify } from '../../workers/verify/process-verify.ts'
import { startClockedWorker, type ClockedWorker } from '../support/clocked-worker.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import type { TestDatabase } from '../support/databases.ts'
import { addSources, drillUrl, fileOf, keyOf, takeBackup } from './sealed.ts'

const SCOPE = { organisationId: null }
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const START = new Date('2026-10-01T12:00:00Z')

let scope: AsyncDisposableStack
let coffer: TestCoffer
let worker: ClockedWorker
let source: TestDatabase

beforeEach(async () => {
  scope = new AsyncDisposableStack()
  coffer = scope.use(await startTestCoffer({ env: { COFFER_DRILL_DATABASE_URL: drillUrl() } }))
  worker = scope.use(await startClockedWorker(coffer, { now: START }))
  source = await addSources(coffer)
  scope.defer(() => source.drop())
})
afterEach(() => scope.disposeAsync())

interface Queued {
  id: string
  level: string
  part: string | null
}

/** What becomes due at this moment, in the order of levels. */
async function dueAt(now: Date): Promise<Queued[]> {
  worker.now = now
  await enqueueDueVerifications(coffer.catalog, now)
  return coffer.catalog.query<Queued>(
    `SELECT id, level, service_instance_backup_id AS part FROM verifications WHERE state = 'QUEUED'
      ORDER BY array_position(ARRAY['metadata', 'checksum', 'drill'], level), queued_at, id`,
  )
}

async function carryOut(queued: readonly Queued[]): Promise<(string | null)[]> {
  for (const { id } of queued)
    await processVerify(worker.context, { data: { id, attempt: 1 }, attemptsMade: 0 }).catch(() => undefined)
  const views = await Promise.all(queued.map(({ id }) => getVerification(coffer.catalog, id, SCOPE)))
  return views.map(({ outcome }) => outcome)
}

async function planned(verification: VerificationPolicy): Promise<void> {
  const plan = { slug: 'own', name: 'own', schedules: [], retention: DEFAULT_POLICY, verification }
  const { uuid } = await createPlan(coffer.catalog, plan, START)
  await coffer.catalog.query('UPDATE environments SET plan_id = $1', [uuid])
}

const after = (ms: number) => new Date(START.getTime() + ms)
const levels = (queued: readonly Queued[]) => queued.map(({ level }) => level)
const openAlerts = async () => (await listOpenAlerts(coffer.catalog, SCOPE, 100)).rows.map(({ kind }) => kind).sort()

test('drills are due an hour after the first good backup and then every week, metadata every day for a whole environment at once', async () => {
  const { database, media } = await takeBackup(coffer, worker)
  expect(await dueAt(after(HOUR_MS - 1000))).toEqual([])
  const first = await dueAt(after(HOUR_MS))
  expect(first.map(({ level, part }) => `${level} ${part}`).sort()).toEqual(
    [`drill ${database.id}`, `drill ${media.id}`].sort(),
  )
  expect(await dueAt(after(HOUR_MS + 1000))).toEqual(first)
  expect(await carryOut(first)).toEqual(['passed', 'passed'])

  expect(await dueAt(after(23 * HOUR_MS))).toEqual([])
  const daily = await dueAt(after(DAY_MS + 2 * HOUR_MS))
  expect(daily).toMatchObject([{ level: 'metadata', part: null }])
  expect(await carryOut(daily)).toEqual(['passed'])
  expect((await getVerification(coffer.catalog, daily[0]?.id ?? '', SCOPE)).report).toMatchObject({
    checked: 2,
    passed: 2,
    not_passed: [],
  })
  expect(await dueAt(after(DAY_MS + 3 * HOUR_MS))).toEqual([])
  expect(levels(await dueAt(after(7 * DAY_MS + 2 * HOUR_MS)))).toEqual(['metadata', 'drill', 'drill'])
})

test('checksums are due oldest verified first, and of an environment no more than so many a day', async () => {
  await planned({ metadata: null, checksum: { every_days: 10, most_per_day: 3 }, drill: null })
  const backups = []
  for (const day of [0, 1, 2]) {
    worker.now = after(day * DAY_MS)
    backups.push(await takeBackup(coffer, worker))
  }
  const [one, two] = backups
  expect(await dueAt(after(10 * DAY_MS - 1000))).toEqual([])
  const first = await dueAt(after(12.5 * DAY_MS))
  expect(new Set(first.map(({ part }) => part))).toContain(one?.database.id)
  expect(new Set(first.map(({ part }) => part))).toContain(one?.media.id)
  expect(first).toHaveLength(3)
  expect([two?.database.id, two?.media.id]).toContain(
    first.find(({ part }) => part !== one?.database.id && part !== one?.media.id)?.part,
  )
  expect(await carryOut(first)).toEqual(['passed', 'passed', 'passed'])
  expect(await dueAt(after(13 * DAY_MS))).toEqual([])
  const second = await dueAt(after(13.6 * DAY_MS))
  expect(second).toHaveLength(3)
  expect(second.map(({ part }) => part)).not.toContain(one?.database.id)
})

test('checksums of what can not be read take the turns of no others, and what nobody has accepted has none', async () => {
  await planned({ metadata: { every_days: 1 }, checksum: { every_days: 10, most_per_day: 1 }, drill: null })
  const { database, media } = await takeBackup(coffer, worker)
  const turn = async (day: number) => {
    const [due] = (await dueAt(after(day * DAY_MS))).filter(({ level }) => level === 'checksum')
    await coffer.catalog.query(
      `UPDATE verifications SET state = 'COMPLETED', outcome = 'unreadable', ended_at = queued_at WHERE state = 'QUEUED'`,
    )
    return due?.part
  }
  const both = [database.id, media.id].sort()
  expect([await turn(11), await turn(12.1)].sort()).toEqual(both)
  expect([await turn(13.2), await turn(14.3)].sort()).toEqual(both)
  await coffer.catalog.query('UPDATE service_instance_backups SET unverified_at = now() WHERE id = $1', [database.id])
  const due = await dueAt(after(30 * DAY_MS))
  expect(due.map(({ level, part }) => [level, part])).toEqual([
    ['metadata', null],
    ['checksum', media.id],
  ])
  expect(await carryOut(due)).toEqual(['passed', 'passed'])
  expect((await getVerification(coffer.catalog, due[0]?.id ?? '', SCOPE)).report).toMatchObject({ checked: 1 })
  await coffer.catalog.query('UPDATE service_instance_backups SET unverified_at = now()')
  expect(await dueAt(after(50 * DAY_MS))).toEqual([])
  await syncVerificationAlerts(coffer.catalog, after(60 * DAY_MS))
  expect(await openAlerts()).toEqual([])
})

test('a store that is away makes the daily look unreadable, which is tried again after an hour; nothing becomes lost or corrupt', async () => {
  await planned({ metadata: { every_days: 1 }, checksum: null, drill: null })
  const { media } = await takeBackup(coffer, worker)
  const stores = coffer.store
  const away = {
    open: () =>
      ({
        ...stores,
        list: () => {
          throw new Error('away')
        },
      }) as never,
    [Symbol.dispose]: () => undefined,
  }
  const queued = await dueAt(after(DAY_MS))
  const [id = ''] = queued.map((one) => one.id)
  await expect(
    processVerify({ ...worker.context, stores: away }, { data: { id, attempt: 1 }, attemptsMade: 0 }),
  ).rejects.toThrow()
  expect(await getVerification(coffer.catalog, id, SCOPE)).toMatchObject({
    outcome: 'unreadable',
    report: { checked: 2, unreadable: 2 },
  })
  expect(await openAlerts()).toEqual(['verify-unreadable'])
  expect(await dueAt(after(DAY_MS + HOUR_MS / 2))).toEqual([])
  const again = await dueAt(after(DAY_MS + HOUR_MS))
  expect(await carryOut(again)).toEqual(['passed'])
  expect(await openAlerts()).toEqual([])
  const [row] = await coffer.catalog.query(`SELECT corrupt_at, lost_at FROM service_instance_backups WHERE id = $1`, [
    media.id,
  ])
  expect(row).toEqual({ corrupt_at: null, lost_at: null })
})

test('the daily look says which backups are corrupt and lost, and passes the others', async () => {
  const spoilt = await takeBackup(coffer, worker)
  const whole = await takeBackup(coffer, worker)
  const dump = fileOf(coffer, keyOf(spoilt.database, 'dump'))
  await dump.write((await dump.read()).subarray(1))
  await fileOf(coffer, keyOf(spoilt.media, 'file-list')).remove()
  const metadata = (await dueAt(after(DAY_MS))).filter(({ level }) => level === 'metadata')
  const job = { data: { id: metadata[0]?.id ?? '', attempt: 1 }, attemptsMade: 0 }
  expect(await processVerify(worker.context, job)).toBe('corrupt')
  const { report } = await getVerification(coffer.catalog, metadata[0]?.id ?? '', SCOPE)
  expect(report).toMatchObject({ checked: 4, passed: 2, corrupt: 1, lost: 1 })
  expect(await openAlerts()).toEqual(['corrupt', 'lost'])
  const rows = await coffer.catalog.query<{ id: string }>(
    'SELECT id FROM service_instance_backups WHERE metadata_verified_at IS NOT NULL ORDER BY id',
  )
  expect(rows.map(({ id }) => id)).toEqual([whole.database.id, whole.media.id].sort())
})

test('what a plan turns off is never due, and what has not passed for twice its interval is overdue until it has', async () => {
  await planned({ metadata: null, checksum: null, drill: null })
  await takeBackup(coffer, worker)
  const late = after(60 * DAY_MS + HOUR_MS)
  expect(await dueAt(late)).toEqual([])
  await syncVerificationAlerts(coffer.catalog, late)
  expect(await openAlerts()).toEqual([])
  await coffer.catalog.query('UPDATE environments SET plan_id = NULL')
  await syncVerificationAlerts(coffer.catalog, after(2 * DAY_MS - 1000))
  expect(await openAlerts()).toEqual([])
  await syncVerificationAlerts(coffer.catalog, late)
  expect(await openAlerts()).toEqual(['drill-overdue', 'drill-overdue', 'verify-overdue'])
  const outcomes = await carryOut(await dueAt(late))
  expect(new Set(outcomes)).toEqual(new Set(['passed']))
  await syncVerificationAlerts(coffer.catalog, late)
  expect(await openAlerts()).toEqual([])
})

test('a verification whose worker died waits again, and after three deaths it has ended unreadable', async () => {
  await takeBackup(coffer, worker)
  const [drill] = await dueAt(after(HOUR_MS))
  const error = (attempt: number) => ({ code: 'RUN_ABANDONED', message: 'died', remedy: '', attempt, at: '' })
  for (const death of [1, 2, 3]) {
    await coffer.catalog.query(
      `UPDATE verifications SET state = 'RUNNING', attempt = $2, owner = 'dead', lease_expires_at = now() - interval '1 second' WHERE id = $1`,
      [drill?.id, death],
    )
    expect(await requeueLapsedVerifications(coffer.catalog, error, worker.now)).toBe(1)
    const { state, outcome, errors } = await getVerification(coffer.catalog, drill?.id ?? '', SCOPE)
    expect([state, outcome, errors.length]).toEqual(
      death < 3 ? ['QUEUED', null, death] : ['COMPLETED', 'unreadable', 3],
    )
  }
})

test('F10 bells that were lost with Redis are written again for every verification that waits, once', async () => {
  await takeBackup(coffer, worker)
  await dueAt(after(HOUR_MS))
  await coffer.catalog.query('DELETE FROM outbox')
  const rung = () => coffer.catalog.query(`SELECT job_id, name FROM outbox WHERE queue = 'verify'`)
  await ringVerificationsDue(coffer.catalog)
  await ringVerificationsDue(coffer.catalog)
  const bells = await rung()
  expect(bells).toHaveLength(2)
  for (const { name } of bells) expect(name).toMatch(/^live · shop( · DEFAULT)? · (metadata|checksum|drill)$/)
})
