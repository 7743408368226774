import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { CofferError } from '../../shared/errors.ts'
import { hasServerGivenUp } from '../../shared/postgres/failures.ts'
import { parsePostgresUrl } from '../../shared/postgres/connection.ts'
import { dropScratch, listScratches } from '../../shared/postgres/scratch.ts'
import { openStore } from '../../shared/storage/open-store.ts'
import { scratchDatabase } from '../../workers/verify/scratch.ts'
import type { FaultScript } from '../support/s3-server/faults.ts'
import { startS3Server } from '../support/s3-server/server.ts'
import { startClockedWorker } from '../support/clocked-worker.ts'
import { startTestCoffer } from '../support/coffer.ts'
import { inDatabase } from '../support/sample-data.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { addSources, drillUrl, keyOf, takeBackup, verify } from './sealed.ts'

const ALWAYS = 1_000_000

test('F31 a download that fails is unreadable, one that is not read to its end is unreadable, a wrong byte is corrupt if it is wrong twice', async () => {
  await using server = await startS3Server()
  await using coffer = await startTestCoffer({ s3: server, env: { COFFER_DRILL_DATABASE_URL: drillUrl() } })
  await using worker = await startClockedWorker(coffer, { now: new Date() })
  const source = await addSources(coffer)
  const { database, media } = await takeBackup(coffer, worker)
  const timing = { patienceMs: 50, firstDelayMs: 1 }
  const store = openStore(server.url, { credentials: server.keys, timing })

  const outcomeUnder = async (
    subject: typeof media,
    fault: FaultScript | null,
    level: 'metadata' | 'checksum' | 'drill',
  ) => {
    const struck = fault && server.fault(fault)
    const { outcome, report } = await verify(coffer, worker, subject, level, { store })
    struck?.lift()
    if (struck) expect(struck.struckTimes).toBeGreaterThan(0)
    return [outcome, report?.['read_again_because'] !== undefined]
  }
  for (const [subject, kind, level] of [
    [database, 'dump', 'checksum'],
    [database, 'dump', 'drill'],
    [media, 'archive', 'checksum'],
    [media, 'archive', 'drill'],
    [media, 'file-list', 'checksum'],
  ] as const) {
    const on = { op: 'GetObject', key: `${keyOf(subject, kind).replaceAll('.', '\\.')}$` }
    const found = {
      refused: await outcomeUnder(
        subject,
        { ...on, kind: 'status', status: 503, code: 'SlowDown', times: ALWAYS },
        level,
      ),
      reset: await outcomeUnder(subject, { ...on, kind: 'reset', afterBytes: 300, times: ALWAYS }, level),
      endsAtOnce: await outcomeUnder(subject, { ...on, kind: 'truncate', afterBytes: 0, times: ALWAYS }, level),
      endsEarly: await outcomeUnder(subject, { ...on, kind: 'truncate', afterBytes: 300, times: ALWAYS }, level),
      flippedOnce: await outcomeUnder(subject, { ...on, kind: 'flip', at: 400, times: 1 }, level),
      flippedAlways: await outcomeUnder(subject, { ...on, kind: 'flip', at: 400, times: ALWAYS }, level),
      nothing: await outcomeUnder(subject, null, level),
    }
    expect([kind, level, found]).toEqual([
      kind,
      level,
      {
        refused: ['unreadable', false],
        reset: ['unreadable', false],
        endsAtOnce: ['unreadable', false],
        // It is read on from there, piece by piece, until all of it has come.
        endsEarly: ['passed', false],
        flippedOnce: ['passed', true],
        flippedAlways: ['corrupt', false],
        nothing: ['passed', false],
      },
    ])
  }
  const listing = { op: 'ListObjectsV2', times: ALWAYS } as const
  expect(
    await outcomeUnder(media, { ...listing, kind: 'status', status: 500, code: 'InternalError' }, 'metadata'),
  ).toEqual(['unreadable', false])
  expect(
    await outcomeUnder(media, { ...listing, kind: 'status', status: 403, code: 'AccessDenied' }, 'metadata'),
  ).toEqual(['unreadable', false])
  store.close()
  await source.drop()
})

test('F31 a drill server that goes away in the middle of a drill, or has no more space, says nothing about the backup', async () => {
  const { hostname, port } = new URL(drillUrl())
  await using proxy = await startTcpProxy({ host: hostname, port: Number(port) }, { cutAfter: 1_000_000 })
  const behind = new URL(drillUrl())
  behind.port = String(proxy.port)
  await using coffer = await startTestCoffer({ env: { COFFER_DRILL_DATABASE_URL: behind.href } })
  await using worker = await startClockedWorker(coffer, { now: new Date() })
  const source = await addSources(coffer)
  await inDatabase(source.url, `INSERT INTO customer (name) SELECT repeat('x', 1000) FROM generate_series(1, 5000)`)
  const { database } = await takeBackup(coffer, worker)
  const id = randomUUID()
  expect(await verify(coffer, worker, database, 'drill', { id })).toMatchObject({
    outcome: 'unreadable',
    error: { code: 'DRILL_SERVER_FAILED', message: expect.stringContaining('closed the connection') as string },
  })
  const failed = (tail: string, exit_signal: string | null = null) =>
    hasServerGivenUp(new CofferError('RESTORE_FAILED', `pg_restore exited: ${tail}`, { details: { exit_signal } }))
  expect([
    failed('ERROR:  could not extend file "base/1/2": No space left on device'),
    failed('', 'SIGKILL'),
    failed('ERROR:  relation "invoice" already exists'),
  ]).toEqual([true, true, false])
  const { name, marker } = scratchDatabase(id)
  expect(await listScratches(parsePostgresUrl(drillUrl()))).toContainEqual(expect.objectContaining({ name }))
  await dropScratch(parsePostgresUrl(drillUrl()), name, marker)
  await source.drop()
})
