import { expect, test } from 'vitest'
import { startTestCoffer } from '../support/coffer.ts'
import { createTestDatabase } from '../support/databases.ts'
import { startS3Server } from '../support/s3-server/server.ts'
import { fillTable } from '../support/sample-data.ts'
import { startProcess } from '../support/worker-process.ts'

test('F8 a worker that waits for a Redis that is away stops when it is told to', async () => {
  await using coffer = await startTestCoffer()
  await using worker = startProcess('workers/main.ts', {
    env: { ...coffer.env, COFFER_REDIS_URL: 'redis://127.0.0.1:1', COFFER_STOP_SECONDS: '120' },
  })
  await worker.line(({ msg }) => msg === 'Redis')
  expect(await worker.stop()).toBe(0)
})

test('F8 a worker whose sweep hangs on a store stops within the time that it is given', async () => {
  await using s3 = await startS3Server()
  await using coffer = await startTestCoffer({ s3, env: { COFFER_STOP_SECONDS: '0.5' } })
  const list = s3.fault({ op: 'ListObjectsV2', kind: 'stall', when: 'before-headers' })
  const worker = await coffer.worker()
  await list.struck
  expect(await worker.stop()).toBe(0)
})

test.each([
  ['after-claim', ['QUEUED']],
  ['mid-part', ['QUEUED']],
  ['before-complete', ['QUEUED']],
  // The signal is heard a moment later: the seal may have begun by then, and is finished.
  ['after-complete', ['QUEUED', 'COMPLETED']],
  ['before-manifest', ['COMPLETED']],
  ['after-manifest', ['COMPLETED']],
])('F8 SIGTERM at %s leaves the run %j, no try spent, and nothing half stored', async (step, states) => {
  await using s3 = await startS3Server()
  await using coffer = await startTestCoffer({ s3 })
  const source = await createTestDatabase()
  await fillTable(source.url, 40_000, 960)
  await coffer.addService('DATABASE', source.url)
  const worker = await coffer.worker({ killAt: step, env: { COFFER_TEST_SIGNAL: 'SIGTERM' } })
  const { uuid } = await coffer.backup()
  await worker.ended

  expect(worker.child.exitCode).toBe(0)
  const [part] = await coffer.parts(uuid)
  expect(part).toMatchObject({ attempt: 1, errors: [] })
  expect(states).toContain(part?.state)
  expect(await coffer.objects()).toHaveLength(part?.state === 'QUEUED' ? 0 : 3)
  expect(await Array.fromAsync(coffer.store.pendingUploads(''))).toEqual([])
  await source.drop()
})
