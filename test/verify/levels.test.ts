import { randomUUID } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { listScratches } from '../../shared/postgres/scratch.ts'
import { parsePostgresUrl } from '../../shared/postgres/connection.ts'
import { scratchDatabase } from '../../workers/verify/scratch.ts'
import { startClockedWorker, type ClockedWorker } from '../support/clocked-worker.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { addSources, drillUrl, takeBackup, verify } from './sealed.ts'

const scope = new AsyncDisposableStack()
let coffer: TestCoffer
let worker: ClockedWorker
let backup: Awaited<ReturnType<typeof takeBackup>>

beforeAll(async () => {
  coffer = scope.use(await startTestCoffer({ env: { COFFER_DRILL_DATABASE_URL: drillUrl() } }))
  worker = scope.use(await startClockedWorker(coffer, { now: new Date() }))
  const source = await addSources(coffer)
  scope.defer(() => source.drop())
  backup = await takeBackup(coffer, worker)
})
afterAll(() => scope.disposeAsync())

test('whole backups pass at every level, with a report of what was read, restored and compared', async () => {
  for (const subject of [backup.database, backup.media])
    for (const level of ['metadata', 'checksum', 'drill'] as const) {
      const id = randomUUID()
      const verdict = await verify(coffer, worker, subject, level, { id })
      expect([level, verdict.error, verdict.outcome]).toEqual([level, null, 'passed'])
      const left = (await listScratches(parsePostgresUrl(drillUrl()))).map(({ name }) => name)
      expect(left).not.toContain(scratchDatabase(id).name)
    }
  expect(await readdir(join(coffer.folder, 'scratch'))).toEqual([])
})
