import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { requestVerifications } from '../../shared/catalog/verification-requests.ts'
import { getVerification } from '../../shared/catalog/verifications.ts'
import { parsePostgresUrl } from '../../shared/postgres/connection.ts'
import { listScratches } from '../../shared/postgres/scratch.ts'
import { cleanScratch } from '../../workers/tick/clean-scratch.ts'
import { scratchDatabase } from '../../workers/verify/scratch.ts'
import { startClockedWorker } from '../support/clocked-worker.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { until } from '../support/until.ts'
import { addSources, drillUrl, takeBackup } from './sealed.ts'

const SCOPE = { organisationId: null }

/** Of these verifications: the server is that of other tests, too. */
async function databases(ids: readonly string[]): Promise<string[]> {
  const names = new Set(ids.map((id) => scratchDatabase(id).name))
  return (await listScratches(parsePostgresUrl(drillUrl()))).map(({ name }) => name).filter((name) => names.has(name))
}
const folders = (coffer: TestCoffer) => readdir(join(coffer.folder, 'scratch')).catch(() => [] as string[])

async function drill(coffer: TestCoffer, backup: string): Promise<string[]> {
  const asked = { target: { backup }, level: 'drill' as const, by: 'a test', scope: SCOPE, now: new Date() }
  const made = await requestVerifications(coffer.catalog, asked)
  coffer.ringer.nudge()
  return made.map(({ uuid }) => uuid)
}

const ended = (coffer: TestCoffer, id: string) =>
  until(async () => {
    const view = await getVerification(coffer.catalog, id, SCOPE)
    return view.state === 'COMPLETED' && view
  })

test('a drill whose worker is killed leaves a database and a folder, which the next worker removes; both drills are done again and pass', async () => {
  await using coffer = await startTestCoffer({ env: { COFFER_DRILL_DATABASE_URL: drillUrl() } })
  await using taker = await startClockedWorker(coffer, { now: new Date() })
  const source = await addSources(coffer)
  const { id } = await takeBackup(coffer, taker)
  const ids = await drill(coffer, id)
  // One dies at the first drill, the next at the second: whichever of them is the database's.
  for (const nth of [1, 2]) {
    const doomed = await coffer.worker({ killAt: 'drill-restored', env: { COFFER_RECONCILE_SECONDS: '3600' } })
    await doomed.ended
    expect([nth, (await databases(ids)).length + (await folders(coffer)).length]).toEqual([nth, nth])
  }
  expect(await databases(ids)).toHaveLength(1)
  expect(await folders(coffer)).toHaveLength(1)

  await coffer.worker()
  for (const one of ids) {
    const { outcome, attempt, errors } = await ended(coffer, one)
    expect([outcome, attempt, errors.map(({ code }) => code)]).toEqual(['passed', 2, ['RUN_ABANDONED']])
  }
  await until(async () => (await databases(ids)).length + (await folders(coffer)).length === 0)
  await source.drop()
})

test('what is left of a drill that is not tried again is removed by any worker, and what belongs to nobody stays', async () => {
  await using coffer = await startTestCoffer({ env: { COFFER_DRILL_DATABASE_URL: drillUrl() } })
  await using taker = await startClockedWorker(coffer, { now: new Date() })
  const source = await addSources(coffer)
  const { id } = await takeBackup(coffer, taker)
  const ids = await drill(coffer, id)
  const doomed = [1, 2].map(() =>
    coffer.worker({ killAt: 'drill-restored', env: { COFFER_RECONCILE_SECONDS: '3600' } }),
  )
  for (const worker of doomed) await (await worker).ended
  await coffer.catalog.query(
    `UPDATE verifications SET state = 'COMPLETED', outcome = 'unreadable', lease_expires_at = NULL WHERE id = ANY($1::uuid[])`,
    [ids],
  )
  const counts = async () => [(await databases(ids)).length, (await folders(coffer)).length]
  await coffer.catalog.query(`UPDATE verifications SET state = 'QUEUED', outcome = NULL WHERE id = ANY($1::uuid[])`, [
    ids,
  ])
  await cleanScratch(taker.context)
  expect(await counts()).toEqual([1, 1])
  await coffer.catalog.query(
    `UPDATE verifications SET state = 'COMPLETED', outcome = 'unreadable' WHERE id = ANY($1::uuid[])`,
    [ids],
  )
  const foreign = 'drill-00000000-0000-4000-8000-000000000000'
  await mkdir(join(coffer.folder, 'scratch', foreign), { recursive: true })
  await mkdir(join(coffer.folder, 'scratch', 'notes'))
  await coffer.worker()
  await until(async () => (await databases(ids)).length === 0 && (await folders(coffer)).length === 2)
  expect((await folders(coffer)).sort()).toEqual([foreign, 'notes'])
  await source.drop()
})

test('F8 a verification whose worker is stopped is taken up by the next, and F10 one that waits survives an emptied Redis', async () => {
  await using coffer = await startTestCoffer({ env: { COFFER_DRILL_DATABASE_URL: drillUrl() } })
  await using taker = await startClockedWorker(coffer, { now: new Date() })
  const source = await addSources(coffer)
  const { id } = await takeBackup(coffer, taker)
  const ids = await drill(coffer, id)
  await until(async () => (await coffer.redis.dbsize()) > 0)
  await coffer.redis.flushdb()
  const worker = await coffer.worker()
  await worker.line(({ msg }) => msg === 'verification claimed')
  expect(await worker.stop()).toBe(0)
  await coffer.worker()
  for (const drilled of ids) expect((await ended(coffer, drilled)).outcome).toBe('passed')
  expect(await databases(ids)).toEqual([])
  await source.drop()
})
