import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { endAttempt } from '../../shared/catalog/run-ends.ts'
import { claimRun, type ClaimedRun } from '../../shared/catalog/runs.ts'
import { beginSeal, finishSeal } from '../../shared/catalog/seals.ts'
import { updateServiceInstance } from '../../shared/catalog/service-instances.ts'
import { sweepStore } from '../../workers/tick/sweep.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'

const SCOPE = { organisationId: null }
const now = new Date()

/** Claims the next attempt and stores an artifact and a manifest for it. */
async function written(coffer: TestCoffer, id: string, attempt = 1): Promise<ClaimedRun> {
  const claim = await claimRun(coffer.catalog, { id, attempt, owner: 'test', leaseSeconds: 60, now })
  if ('refused' in claim) throw new Error(`refused: ${claim.refused}`)
  for (const name of ['dump.pgdump.zst.age', 'manifest.json'])
    await coffer.store.write(`${claim.claimed.keyPrefix}${name}`, Readable.from([Buffer.from(name)]))
  return claim.claimed
}

async function seal(coffer: TestCoffer, run: ClaimedRun): Promise<void> {
  const intent = { manifest: '{}', artifacts: [], files: null, warnings: [], takenAt: now }
  expect(await beginSeal(coffer.catalog, run, intent)).toBe('sealing')
  expect(await finishSeal(coffer.catalog, run, { success: 'SUCCESS', now })).toBe('sealed')
}

const end = (coffer: TestCoffer, run: ClaimedRun, next: 'requeue' | 'fail') =>
  endAttempt(coffer.catalog, run, { next, error: null, delaySeconds: 0, now })

const sweep = (coffer: TestCoffer, minimumAgeSeconds = 0) =>
  sweepStore({ db: coffer.catalog, secrets: coffer.secrets, clock: () => new Date(), minimumAgeSeconds }, coffer.store)

/** Which attempts have objects, as `DEFAULT-DATABASE.1`. */
const attempts = async (coffer: TestCoffer) =>
  [...new Set((await coffer.objects()).map((key) => key.split('/').at(-2)))].sort()

describe('the sweep', () => {
  test('deletes old leftovers of attempts that were not sealed, and nothing of those that run or were', async () => {
    await using coffer = await startTestCoffer()
    for (const prefix of ['FAILED', 'RUNNING', 'SEALED'])
      await coffer.addService('DATABASE', 'postgres://u@h/d', prefix)
    const { uuid } = await coffer.backup()
    const parts = await coffer.parts(uuid)
    const idOf = (prefix: string) => parts.find((part) => part.prefix === prefix)?.uuid ?? ''
    await end(coffer, await written(coffer, idOf('FAILED')), 'fail')
    await end(coffer, await written(coffer, idOf('RUNNING')), 'requeue')
    await written(coffer, idOf('RUNNING'), 2)
    await seal(coffer, await written(coffer, idOf('SEALED')))

    await sweep(coffer, 3_600)
    expect(await attempts(coffer)).toHaveLength(4)
    const report = await sweep(coffer)
    expect(await attempts(coffer)).toEqual(['RUNNING-DATABASE.2', 'SEALED-DATABASE.1'])
    expect(report).toMatchObject({ abortedUploads: 0, unknownObjects: 0 })
    expect(report.deletedAttempts.map((prefix) => prefix.split('/').at(-2)).sort()).toEqual([
      'FAILED-DATABASE.1',
      'RUNNING-DATABASE.1',
    ])
  })

  test('F17 leaves alone what the catalog has never heard of, and attempts later than it knows', async () => {
    await using coffer = await startTestCoffer()
    await coffer.addService('DATABASE', 'postgres://u@h/d')
    const { uuid } = await coffer.backup()
    const run = await written(coffer, (await coffer.parts(uuid))[0]?.uuid ?? '')
    await end(coffer, run, 'fail')
    const later = run.keyPrefix.replace('.1/', '.2/')
    const foreign = run.keyPrefix.replace(uuid, '00000000-0000-4000-8000-000000000000')
    for (const prefix of [later, foreign])
      await coffer.store.write(`${prefix}manifest.json`, Readable.from([Buffer.from('{}')]))

    expect(await sweep(coffer)).toEqual({
      deletedAttempts: [run.keyPrefix],
      abortedUploads: 0,
      unknownObjects: 2,
      keptAttempts: [],
    })
    expect(await coffer.objects()).toEqual([`${later}manifest.json`, `${foreign}manifest.json`].sort())
  })
})

describe('service instances that took over the prefix of another', () => {
  async function sealedAndOther(coffer: TestCoffer): Promise<{ sealed: ClaimedRun; other: string }> {
    const first = await coffer.addService('DATABASE', 'postgres://u@h/d', 'FIRST')
    const second = await coffer.addService('DATABASE', 'postgres://u@h/d', 'SECOND')
    const parts = await coffer.parts((await coffer.backup()).uuid)
    const idOf = (prefix: string) => parts.find((part) => part.prefix === prefix)?.uuid ?? ''
    const sealed = await written(coffer, idOf('FIRST'))
    await seal(coffer, sealed)
    await updateServiceInstance(coffer.catalog, first, SCOPE, { prefix: 'OLD' })
    await updateServiceInstance(coffer.catalog, second, SCOPE, { prefix: 'FIRST' })
    return { sealed, other: idOf('SECOND') }
  }

  test('cost no sealed backup of the other to the sweep', async () => {
    await using coffer = await startTestCoffer()
    const { sealed } = await sealedAndOther(coffer)
    expect((await sweep(coffer)).deletedAttempts).toEqual([])
    expect(await coffer.objects()).toContain(`${sealed.keyPrefix}manifest.json`)
  })

  test('can not write where objects of the other lie', async () => {
    await using coffer = await startTestCoffer()
    const { other } = await sealedAndOther(coffer)
    await expect(written(coffer, other)).rejects.toMatchObject({ code: 'CONFLICT' })
  })
})
