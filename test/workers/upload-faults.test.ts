import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { MANIFEST_NAME } from '../../shared/domain/manifest.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { plantTar } from '../support/repacks.ts'
import { sampleBytes } from '../support/streams.ts'
import { finish, send, services, stagedOf, startProducerOf, upload } from '../support/uploads.ts'
import { until } from '../support/until.ts'

const tar = plantTar([{ path: 'large', content: sampleBytes(3_000_000).toString('latin1') }])

test.each(['mid-part', 'after-manifest'])(
  'F1 a worker that is killed at %s of an upload is followed by one sealed attempt, from the same staged object',
  async (step) => {
    await using coffer = await startTestCoffer({ env: { COFFER_SWEEP_SECONDS: '0.5' } })
    await using producer = await startProducerOf(coffer)
    const { storage } = await services(coffer)
    const doomed = await coffer.worker({ killAt: step, env: { COFFER_SWEEP_SECONDS: '3600' } })
    const backup = await upload(producer, storage, tar)
    await doomed.ended
    expect(doomed.output()).toContain(`SIGKILL at ${step}`)

    await coffer.worker()
    expect((await coffer.ended(backup)).success).toBe('SUCCESS')
    expect((await coffer.parts(backup))[0]).toMatchObject({ attempt: step === 'after-manifest' ? 1 : 2 })
    const objects = await until(async () => {
      const keys = await coffer.objects()
      return keys.length === 4 && keys
    })
    expect(objects.filter((key) => key.endsWith(MANIFEST_NAME))).toHaveLength(1)
  },
)

test('an upload that is finished while every worker and Redis are away is done when they are back', async () => {
  await using coffer = await startTestCoffer()
  await using producer = await startProducerOf(coffer)
  const { storage } = await services(coffer)
  const backup = await upload(producer, storage, tar)
  await until(async () => (await coffer.queues.all.find(({ name }) => name === 'transfer')?.getWaitingCount()) === 1)
  await coffer.redis.flushdb()
  await coffer.worker()
  expect((await coffer.ended(backup)).success).toBe('SUCCESS')
})

test('one that nobody finishes ends as a failure with its reason when it has expired, and its bytes are swept', async () => {
  await using coffer = await startTestCoffer({ env: { COFFER_SWEEP_SECONDS: '0.3' } })
  const past = new Date(Date.now() - 3 * 86_400_000)
  await using producer = await startProducerOf(coffer, { clock: () => past })
  const { database, storage } = await services(coffer)
  const { backup, parts } = await producer.request([database, storage])
  await send(parts[0] as (typeof parts)[0] & object, tar)
  await writeFile(
    join(coffer.folder, 'store', await brokenOff(coffer, backup)),
    'what a producer that was killed has left',
  )
  await coffer.catalog.query('UPDATE uploads SET writing_until = NULL')
  await coffer.worker()

  expect((await coffer.ended(backup)).success).toBe('FAILURE')
  const errors = (await coffer.parts(backup)).flatMap(({ errors: all }) => all)
  expect(errors.map(({ code }) => code)).toEqual(['UPLOAD_EXPIRED', 'UPLOAD_EXPIRED'])
  await until(async () => (await coffer.objects()).length === 0)
  expect(await finish(parts[0] as (typeof parts)[0] & object)).toMatchObject({ status: 409 })
})

/** A staged object that counts for nothing. */
const brokenOff = async (coffer: TestCoffer, backup: string) => {
  const staged = await stagedOf(coffer, backup)
  const [id] = (await coffer.parts(backup)).map(({ uuid }) => uuid).filter((uuid) => staged[0]?.includes(uuid))
  return `uploads/${id ?? ''}/00ff00ff00ff00ff.zst.age`
}

test('a worker without the identity says so, and a retry with it makes the backup', async () => {
  await using coffer = await startTestCoffer()
  await using producer = await startProducerOf(coffer)
  const { storage } = await services(coffer)
  const keyless = await coffer.worker({ env: { COFFER_AGE_IDENTITY_FILE: '' } })
  const backup = await upload(producer, storage, tar)
  expect((await coffer.ended(backup)).success).toBe('FAILURE')
  expect((await coffer.parts(backup))[0]?.errors).toMatchObject([{ code: 'KEY_MISSING' }])
  await keyless.stop()
  await coffer.worker()
  expect((await producer.ask('POST', `/apps/v3/backups/${backup}/retry/`)).status).toBe(200)
  expect((await coffer.ended(backup)).success).toBe('SUCCESS')
})
