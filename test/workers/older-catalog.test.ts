import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { claimRun } from '../../shared/catalog/runs.ts'
import { encodeManifest, inspectManifest } from '../../shared/manifest.ts'
import { CofferError } from '../../shared/errors.ts'
import { openSecrets } from '../../shared/secrets.ts'
import type { Store } from '../../shared/storage/store.ts'
import { readText, writeText } from '../../shared/storage/text-objects.ts'
import { processRun, type Take } from '../../workers/run-processor.ts'
import { settleLapsedRuns } from '../../workers/settle.ts'
import { sweepStore } from '../../workers/tick/sweep.ts'
import { startClockedWorker, type ClockedWorker } from '../support/clocked-worker.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { sealBackup } from '../support/sealed-backups.ts'
import { withFaults } from '../support/with-faults.ts'
import { rebuildInto, sealedContents } from '../support/second-catalog.ts'

const NOW = new Date('2026-03-01T12:00:00Z')

interface Past {
  coffer: TestCoffer
  worker: ClockedWorker
  id: string
  sealed: Record<string, unknown[]>
  objects: Record<string, string>
}

/** A sealed backup, and a catalog that was restored from a copy of before its seal: there it is `as` says. */
async function older(coffer: TestCoffer, worker: ClockedWorker, as: 'queued' | 'running'): Promise<Past> {
  await coffer.addService('STORAGE', 'file:///srv/media')
  const { parts } = await sealBackup(coffer, worker, { at: NOW, trigger: 'MANUAL' })
  const [id = ''] = parts
  const sealed = await sealedContents(coffer.catalog)
  await coffer.catalog.query('DELETE FROM artifacts')
  await coffer.catalog.query(`UPDATE backups SET state = 'QUEUED', success = NULL, ended_at = NULL`)
  await coffer.catalog.query(
    `UPDATE service_instance_backups SET state = 'QUEUED', success = NULL, attempt = 0, tries_left = 3, manifest = NULL, key_prefix = NULL,
            store_id = NULL, recipients = NULL, plain_size = NULL, stored_size = NULL, files = NULL, started_at = NULL, ended_at = NULL, taken_at = NULL`,
  )
  if (as === 'running') {
    const claim = await claimRun(coffer.catalog, {
      id,
      attempt: 1,
      owner: 'a worker of then',
      leaseSeconds: 60,
      now: NOW,
    })
    expect(claim).toHaveProperty('claimed')
    await coffer.catalog.query(`UPDATE leases SET expires_at = now() - interval '1 day'`)
  }
  return { coffer, worker, id, sealed, objects: await everything(coffer) }
}

async function everything(coffer: TestCoffer): Promise<Record<string, string>> {
  const entries = (await coffer.objects()).map(async (key) => [key, await readText(coffer.store, key)] as const)
  return Object.fromEntries(await Promise.all(entries)) as Record<string, string>
}

/** The catalog knows all of the seal again, and the store is as it was. */
async function expectAdopted({ coffer, sealed, objects }: Past): Promise<void> {
  const known = await sealedContents(coffer.catalog)
  expect(known.artifacts).toEqual(sealed.artifacts)
  expect(known.parts).toMatchObject(
    (sealed.parts as { id: string; manifest: string }[]).map(({ id, manifest }) => ({ id, manifest })),
  )
  expect(known.backups).toMatchObject([{ success: 'SUCCESS', state: 'COMPLETED' }])
  expect(await everything(coffer)).toEqual(objects)
}

const neverTakes: Take = () => Promise.reject(new Error('nothing may be taken where a sealed backup lies'))
const run = ({ worker, id }: Past, attempt = 1, take = neverTakes) =>
  processRun(worker.context, take, { data: { id, attempt }, attemptsMade: 0 })

/** The same store, but for what a fault changes of it. */
function withStore(past: Past, faults: Partial<Store>): Past {
  const store = withFaults(past.coffer.store, faults)
  const stores = { open: () => store, [Symbol.dispose]: () => undefined }
  return { ...past, worker: { ...past.worker, context: { ...past.worker.context, stores } } }
}

/** Signs what lies there with another secret key. */
async function resign({ coffer }: Past): Promise<string> {
  const key = (await coffer.objects()).find((candidate) => candidate.endsWith('manifest.json')) ?? ''
  const { unsigned } = inspectManifest(coffer.secrets, (await readText(coffer.store, key)) ?? '')
  await writeText(coffer.store, key, encodeManifest(openSecrets(randomBytes(32).toString('base64')), unsigned))
  return key
}

test('F12 a run of an older copy of the catalog is sealed from what lies in the store: nothing is taken, overwritten or deleted', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  const past = await older(coffer, worker, 'queued')
  expect(await run(past)).toContain('lay in the store already')
  await expectAdopted(past)
})

test('F12 a lapsed run of an older copy is settled as sealed, not as abandoned', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  const past = await older(coffer, worker, 'running')
  expect(await settleLapsedRuns(worker.context)).toBe(1)
  await expectAdopted(past)
})

test.each([
  ['is away', () => Promise.reject(new CofferError('STORE_UNREACHABLE', 'away'))],
  ['refuses', () => Promise.reject(new CofferError('STORE_REFUSED', 'no such bucket'))],
  ['never answers', () => new Promise<never>(() => undefined)],
])('a lapsed run whose store %s blocks nothing: its attempt ends, and what lies there stays', async (_, head) => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  const past = await older(coffer, worker, 'running')
  const open = () => Object.assign(Object.create(coffer.store) as Store, { head })
  const stores = { open, [Symbol.dispose]: () => undefined }
  expect(await settleLapsedRuns({ ...worker.context, stores }, 1000)).toBe(1)
  expect(await coffer.catalog.query('SELECT state, errors FROM service_instance_backups')).toMatchObject([
    { state: 'QUEUED', errors: [{ code: 'RUN_ABANDONED' }] },
  ])
  expect(await coffer.catalog.query('SELECT 1 FROM leases')).toEqual([])
  expect(await everything(coffer)).toEqual(past.objects)
})

test('a run that is being sealed is not settled without its store, and waits for it no longer than it may', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  await older(coffer, worker, 'running')
  await coffer.catalog.query(`UPDATE service_instance_backups SET state = 'SEALING', manifest = '{}'`)
  let asked = 0
  const hang = () => {
    asked++
    return new Promise<never>(() => undefined)
  }
  const open = () => Object.assign(Object.create(coffer.store) as Store, { head: hang, read: hang })
  const stores = { open, [Symbol.dispose]: () => undefined }
  expect(await settleLapsedRuns({ ...worker.context, stores }, 100)).toBe(0)
  expect(asked).toBe(1)
  expect(await coffer.catalog.query('SELECT state FROM service_instance_backups')).toEqual([{ state: 'SEALING' }])
})

test.each(['queued', 'running'] as const)('a rebuild adopts what an older copy has as %s', async (as) => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  const past = await older(coffer, worker, as)
  expect(await rebuildInto(coffer.catalog, coffer)).toMatchObject({
    adopted: 1,
    added: 0,
    pruning_stopped: [coffer.environmentId],
  })
  await expectAdopted(past)
  expect(await coffer.catalog.query('SELECT 1 FROM leases')).toEqual([])
  expect(await run(past)).toContain('nothing to do')
})

test('a rebuild leaves alone what runs at this moment', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  await older(coffer, worker, 'running')
  await coffer.catalog.query(`UPDATE leases SET expires_at = now() + interval '1 hour'`)
  const report = await rebuildInto(coffer.catalog, coffer)
  expect(report).toMatchObject({
    adopted: 0,
    differences_count: 1,
    differences: [{ what: 'it is running at this moment' }],
  })
})

test('a manifest that somebody else has signed is neither adopted nor overwritten nor swept; the next attempt writes elsewhere', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  const past = await older(coffer, worker, 'queued')
  const key = await resign(past)
  const objects = await everything(coffer)
  await expect(run(past)).rejects.toMatchObject({ code: 'STORE_OCCUPIED' })
  expect(await everything(coffer)).toEqual(objects)
  const settings = { db: coffer.catalog, secrets: coffer.secrets, clock: () => new Date(), minimumAgeSeconds: 0 }
  const report = await sweepStore(settings, coffer.store)
  expect(report).toMatchObject({ deletedAttempts: [], keptAttempts: [key.slice(0, -'manifest.json'.length)] })
  expect(await everything(coffer)).toEqual(objects)
  await coffer.catalog.query('UPDATE service_instance_backups SET not_before = now()')
  const places: string[] = []
  const failed = run(past, 2, ({ run: next }) => {
    places.push(next.keyPrefix)
    return Promise.reject(new Error('far enough'))
  })
  await expect(failed).rejects.toThrow('far enough')
  expect(places).toEqual([key.replace('.1/manifest.json', '.2/')])
})

test.each([
  ['the store fails while the manifest is read', new CofferError('STORE_UNREACHABLE', 'away')],
  ['the catalog is busy', new Error('timeout exceeded when trying to connect')],
])('where %s, what lies there is not taken for leftovers', async (_, error) => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  const past = await older(coffer, worker, 'queued')
  const failing = withStore(past, { read: () => Promise.reject(error) })
  await expect(run(failing)).rejects.toThrow(error.message)
  expect(await everything(coffer)).toEqual(past.objects)
})

test('a run that is cancelled while it looks at a sealed backup of its own deletes nothing of it', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  const past = await older(coffer, worker, 'queued')
  const head = async (key: string) => {
    await coffer.catalog.query('UPDATE backups SET cancel_requested_at = now()')
    return coffer.store.head(key)
  }
  await run(withStore(past, { head })).catch(() => undefined)
  expect(await coffer.catalog.query('SELECT state FROM service_instance_backups')).not.toEqual([{ state: 'RUNNING' }])
  expect(await everything(coffer)).toEqual(past.objects)
})

test('the sweep keeps a whole backup of an earlier attempt, which an older copy did not know to be sealed', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  const past = await older(coffer, worker, 'queued')
  const settings = { db: coffer.catalog, secrets: coffer.secrets, clock: () => new Date(), minimumAgeSeconds: 0 }
  const payload = Object.keys(past.objects).find((key) => key.endsWith('.age')) ?? ''
  const prefix = payload.slice(0, payload.lastIndexOf('/') + 1)
  await coffer.catalog.query('UPDATE service_instance_backups SET attempt = 2, key_prefix = $1', [
    prefix.replace('.1/', '.2/'),
  ])
  expect(await sweepStore(settings, coffer.store)).toMatchObject({ deletedAttempts: [], keptAttempts: [prefix] })
  expect(await everything(coffer)).toEqual(past.objects)
  await coffer.store.delete(payload)
  expect(await sweepStore(settings, coffer.store)).toMatchObject({ deletedAttempts: [prefix], keptAttempts: [] })
})

test('F17 the sweep deletes no sealed attempt that is later than an older copy knows', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  const past = await older(coffer, worker, 'queued')
  const settings = { db: coffer.catalog, secrets: coffer.secrets, clock: () => new Date(), minimumAgeSeconds: 0 }
  expect(await sweepStore(settings, coffer.store)).toMatchObject({ deletedAttempts: [], unknownObjects: 3 })
  expect(await everything(coffer)).toEqual(past.objects)
})
