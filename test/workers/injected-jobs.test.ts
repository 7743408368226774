import { randomUUID } from 'node:crypto'
import { Queue } from 'bullmq'
import { expect, test } from 'vitest'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { createTestDatabase } from '../support/databases.ts'
import { fillFolder, fillTable } from '../support/sample-data.ts'
import { until } from '../support/until.ts'
import { pgDump } from '../support/foreign-dumps.ts'
import { plantBackups } from '../support/planted-backups.ts'
import { services, startProducerOf, upload } from '../support/uploads.ts'

// Who reaches Redis or Bull Board can put any job on any queue. Workers ask the catalog what there is to do (F43).

/** Puts a job on a queue, and gives what became of it. */
async function inject(coffer: TestCoffer, queue: string, data: unknown): Promise<unknown> {
  const url = new URL(coffer.env['COFFER_REDIS_URL'] ?? '')
  const connection = {
    host: url.hostname,
    port: Number(url.port),
    db: Number(url.pathname.slice(1)),
    username: url.username,
    password: decodeURIComponent(url.password),
  }
  const bells = new Queue(queue, { connection })
  try {
    const { id = '' } = await bells.add('made up', data)
    const ended = await until(async () => {
      const job = await bells.getJob(id)
      return job?.finishedOn !== undefined && job
    })
    return (await ended.isFailed()) ? ended.failedReason : (ended.returnvalue as unknown)
  } finally {
    await bells.close()
  }
}

const everything = async ({ catalog }: TestCoffer) => {
  const tables = [
    'backups',
    'service_instance_backups',
    'service_instance_restores',
    'artifacts',
    'leases',
    'occurrences',
  ]
  return Promise.all(tables.map((table) => catalog.query(`SELECT * FROM ${table} t ORDER BY t::text`)))
}

test('F43 jobs with made-up ids, foreign data and old prunes change nothing', async () => {
  await using coffer = await startTestCoffer()
  await coffer.addService('DATABASE', 'postgres://u:p@127.0.0.1:1/nothing')
  const [kept] = await plantBackups(coffer.catalog, coffer.environmentId, [200, 100, 1])
  const worker = await coffer.worker()
  const [part] = await coffer.parts(kept ?? '')
  // What a prune of today does is done, and everything after it is somebody's invention.
  await inject(coffer, 'prune', { id: coffer.environmentId, attempt: 1 })
  const before = await everything(coffer)

  for (const queue of ['dump', 'media-archive', 'restore', 'prune', 'tick']) {
    for (const data of [
      { id: randomUUID(), attempt: 1 },
      { id: part?.uuid, attempt: 2 },
      { id: kept, attempt: 1 },
    ])
      expect(await inject(coffer, queue, data), queue).toMatch(/^nothing to do/)
    for (const data of [
      {},
      null,
      'text',
      [],
      { id: 7, attempt: '1' },
      { id: "' OR true --", attempt: 1 },
      { id: { $ne: 1 }, attempt: 1 },
      { id: part?.uuid, attempt: 1e300 },
    ])
      expect(await inject(coffer, queue, data), queue).toBe('nothing to do: it names no row')
  }
  // A prune that was rung long ago, and says what to delete: it plans anew, and nothing goes.
  const old = { id: coffer.environmentId, attempt: 1, delete: [kept], dryRun: false }
  expect(await inject(coffer, 'prune', old)).toBe('deleted 0')
  expect(await everything(coffer)).toEqual(before)
  expect(worker.child.exitCode).toBeNull()
})

test('F43 a bell in the wrong queue runs what the catalog says it is', async () => {
  await using coffer = await startTestCoffer()
  const source = await createTestDatabase()
  await fillTable(source.url, 100)
  const media = await coffer.mediaRoot('shop')
  await fillFolder(media.path, 3)
  await coffer.addService('DATABASE', source.url)
  await coffer.addService('STORAGE', media.url)
  const { uuid } = await coffer.backup()
  const parts = await coffer.parts(uuid)
  await coffer.redis.flushdb()
  await coffer.worker({ env: { COFFER_RECONCILE_SECONDS: '600' } })
  for (const { uuid: id, service_type: type } of parts)
    await inject(coffer, type === 'DATABASE' ? 'media-archive' : 'dump', { id, attempt: 1 })
  expect((await coffer.ended(uuid)).success).toBe('SUCCESS')
  await source.drop()
})

test('F43 an upload whose bell is in the queue of dumps is taken from what was sent, and not from the living database', async () => {
  await using coffer = await startTestCoffer()
  await using producer = await startProducerOf(coffer)
  const source = await createTestDatabase()
  await fillTable(source.url, 100)
  // Of which nothing answers: a dump would fail.
  const { database } = await services(coffer)
  const uuid = await upload(producer, database, await pgDump(source.url, ['--format=custom']))
  const [part] = await coffer.parts(uuid)
  await coffer.redis.flushdb()
  // It waits for the worker, so that no bell of its own comes before it.
  const injected = inject(coffer, 'dump', { id: part?.uuid, attempt: 1 })
  await coffer.worker({ env: { COFFER_RECONCILE_SECONDS: '600' } })
  expect(await injected).toBe('sealed')
  expect(await coffer.ended(uuid)).toMatchObject({ success: 'SUCCESS', trigger: 'UPLOAD' })
  await source.drop()
})
