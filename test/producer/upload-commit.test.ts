import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { receiveUpload } from '../../producer/receive-upload.ts'
import type { Catalog } from '../../shared/catalog/database.ts'
import { openUpload } from '../../shared/catalog/uploads.ts'
import { openLog } from '../../shared/log.ts'
import { startTestCoffer } from '../support/coffer.ts'
import { withFaults } from '../support/with-faults.ts'
import { finish, services, stagedOf, startProducerOf } from '../support/uploads.ts'

test('what a commit has made count stays in the store, though its answer was lost', async () => {
  await using coffer = await startTestCoffer()
  await using producer = await startProducerOf(coffer)
  const { storage } = await services(coffer)
  const { backup, parts } = await producer.request([storage])
  const [part] = parts
  const [asked] = await coffer.parts(backup)
  if (!part || !asked) throw new Error('nothing was asked')
  const transaction: Catalog['transaction'] = async (work) => {
    await coffer.catalog.transaction(work)
    throw new Error('the connection was lost')
  }
  const catalog = withFaults(coffer.catalog, { transaction })
  const now = new Date()
  const sent = receiveUpload(
    {
      ...{ catalog, clock: () => now, log: openLog('test', 'silent'), openStore: () => Promise.resolve(coffer.store) },
      settings: { idleSeconds: 60, recipients: [] },
    },
    await openUpload(coffer.catalog, asked.uuid, now),
    Object.assign(Readable.from([Buffer.from('a tar')]), { headers: {} }) as unknown as IncomingMessage,
    {
      ...{ at: now, actor: null, address: '127.0.0.1', action: 'PUT a test', targets: [backup], status: 200 },
      ...{ code: null, changes: {}, requestId: 'a test' },
    },
  )
  await expect(sent).rejects.toThrow('the connection was lost')
  expect(await stagedOf(coffer, backup)).toHaveLength(1)
  expect(await finish(part)).toMatchObject({ status: 200, body: { state: 'QUEUED' } })
})
