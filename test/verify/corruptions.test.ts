import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { VerificationSubject } from '../../shared/catalog/verification-subjects.ts'
import { VERIFICATION_LEVELS } from '../../shared/domain/verification.ts'
import { startClockedWorker, type ClockedWorker } from '../support/clocked-worker.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { inDatabase } from '../support/sample-data.ts'
import { kindsOf, TO_ARTIFACTS, TO_THE_REST, type Corruption } from './corruptions.ts'
import { addSources, drillUrl, takeBackup, verify } from './sealed.ts'

const scope = new AsyncDisposableStack()
let coffer: TestCoffer
let worker: ClockedWorker
let backups: [VerificationSubject, VerificationSubject][]

beforeAll(async () => {
  coffer = scope.use(await startTestCoffer({ env: { COFFER_DRILL_DATABASE_URL: drillUrl() } }))
  worker = scope.use(await startClockedWorker(coffer, { now: new Date() }))
  const source = await addSources(coffer)
  scope.defer(() => source.drop())
  const one = await takeBackup(coffer, worker)
  await inDatabase(source.url, `INSERT INTO customer (name) SELECT 'late ' || n FROM generate_series(1, 400) n`)
  await writeFile(join(coffer.folder, 'media/shop/late.txt'), 'late')
  const two = await takeBackup(coffer, worker)
  backups = [
    [one.database, two.database],
    [one.media, two.media],
  ]
})
afterAll(() => scope.disposeAsync())

/** What each level says of a backup that this was done to. Afterwards all is as it was. */
async function outcomes([subject, other]: [VerificationSubject, VerificationSubject], corrupt: Corruption) {
  const place = join(coffer.folder, 'store', subject.keyPrefix)
  const kept = join(coffer.folder, 'kept')
  await cp(place, kept, { recursive: true, preserveTimestamps: true })
  const changes = await corrupt({ coffer, subject, other })
  const found: string[] = []
  for (const level of VERIFICATION_LEVELS) found.push((await verify(coffer, worker, subject, level, changes)).outcome)
  await rm(place, { recursive: true })
  await cp(kept, place, { recursive: true, preserveTimestamps: true })
  await rm(kept, { recursive: true })
  return found
}

const title = (kind: string) => ({ dump: 'dump', archive: 'archive', 'file-list': 'file list' })[kind] ?? kind

test('F38 every corruption of every kind of artifact is caught by each level, or listed in docs/verification.md as not seen', async () => {
  const measured: string[][] = []
  for (const [name, of] of Object.entries(TO_ARTIFACTS))
    for (const pair of backups)
      for (const kind of kindsOf(pair[0])) {
        const corrupt = of(kind)
        if (corrupt) measured.push([name, title(kind), ...(await outcomes(pair, corrupt))])
      }
  for (const [name, corrupt] of Object.entries(TO_THE_REST))
    for (const pair of backups)
      measured.push([
        name,
        pair[0].serviceType === 'DATABASE' ? 'database' : 'media',
        ...(await outcomes(pair, corrupt)),
      ])
  for (const [subject] of backups)
    measured.push([
      'nothing',
      subject.serviceType === 'DATABASE' ? 'database' : 'media',
      ...(await outcomes([subject, subject], () => Promise.resolve({}))),
    ])

  const page = await readFile('docs/verification.md', 'utf8').catch(() => '')
  const [, listed = ''] = /<!-- measured by test\/verify\/corruptions\.test\.ts -->\n\n(.*?)\n\n/s.exec(page) ?? []
  const rows = listed
    .split('\n')
    .slice(2)
    .map((row) =>
      row
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
  expect(rows).toEqual(measured)
  // The strongest level lets nothing pass but what is whole.
  expect(measured.filter(([name, , , , drill]) => drill === 'passed' && name !== 'nothing')).toEqual([])
})
