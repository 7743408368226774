import { expect, test } from 'vitest'
import { startTestCoffer } from '../support/coffer.ts'

test('a step of the reconciler that fails each time stops no other: backups whose bells were lost are still rung for', async () => {
  await using coffer = await startTestCoffer()
  const { url } = await coffer.mediaRoot('shop')
  await coffer.addService('STORAGE', url)
  // An earlier step finds its table gone.
  await coffer.catalog.query('ALTER TABLE uploads RENAME TO uploads_away')
  const { uuid } = await coffer.backup()
  await coffer.ringer.close()
  await coffer.redis.flushdb()
  const worker = await coffer.worker()
  expect((await coffer.ended(uuid)).success).toBe('SUCCESS')
  const failure = await worker.line(({ msg }) => msg === 'a step of the reconciler failed; the others go on')
  expect(failure['step']).toBe('uploads that nobody finished')
  const rows = await coffer.catalog.query('SELECT FROM workers WHERE last_reconciled_at IS NOT NULL')
  expect(rows).toEqual([])
})
