import { randomBytes, randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { loadRetention } from '../../shared/catalog/retention.ts'
import type { Manifest } from '../../shared/domain/manifest.ts'
import { decodeManifest, encodeManifest, inspectManifest } from '../../shared/manifest.ts'
import { acceptManifests } from '../../shared/rebuild/accept-manifests.ts'
import { openSecrets } from '../../shared/secrets.ts'
import { readText, writeText } from '../../shared/storage/text-objects.ts'
import { pruneEnvironment } from '../../workers/prune/prune-environment.ts'
import { startClockedWorker, type ClockedWorker } from '../support/clocked-worker.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { daysBefore, sealBackup } from '../support/sealed-backups.ts'
import { startSecondCatalog } from '../support/second-catalog.ts'

const SCOPE = { organisationId: null }
const NOW = new Date('2026-03-01T12:00:00Z')
const strangers = openSecrets(randomBytes(32).toString('base64'))

type Change = (manifest: Manifest) => void

async function oneBackup(coffer: TestCoffer, worker: ClockedWorker, at = NOW): Promise<string> {
  await sealBackup(coffer, worker, { at, trigger: 'MANUAL' })
  return (await coffer.objects()).find((key) => key.endsWith('manifest.json')) ?? ''
}

/** The manifest, changed, and signed by somebody else. */
async function forged(coffer: TestCoffer, key: string, change: Change = () => undefined): Promise<string> {
  const { unsigned } = inspectManifest(coffer.secrets, (await readText(coffer.store, key)) ?? '')
  const manifest = structuredClone(unsigned) as Manifest
  change(manifest)
  return encodeManifest(strangers, manifest)
}

const NONSENSE: Record<string, [Change, RegExp]> = {
  'ids that do not match the path': [(m) => (m.backup.id = randomUUID()), /says that it lies in/],
  'names that do not match the path': [(m) => (m.environment.slug = 'test'), /says that it lies in/],
  'an attempt that does not match the path': [(m) => (m.service_instance_backup.attempt = 7), /says that it lies in/],
  'a slug that climbs': [(m) => (m.application.slug = '../../etc'), /not a slug/],
  'a key outside its own folder': [(m) => setKey(m, 'default/other/live/dump.pgdump.zst.age'), /lies elsewhere/],
  'a key that climbs': [(m) => setKey(m, '../../../../etc/passwd'), /lies elsewhere/],
  'a size that is not the object’s': [(m) => m.artifacts.forEach((a) => (a.stored_size += 1)), /another size/],
  'one artifact twice': [(m) => m.artifacts.push(...structuredClone(m.artifacts)), /two artifacts of one kind/],
  'a time zone that is none': [(m) => (m.environment.timezone = 'Mars/Olympus'), /not a time zone/],
  'another type of service': [(m) => (m.service_instance_backup.service_type = 'DATABASE'), /says that it lies in/],
  'a failure': [(m) => (m.service_instance_backup.success = 'FAILURE'), /ended FAILURE/],
  'a NUL in its notes': [(m) => (m.backup.notes = '\0'), /NUL/],
}

const setKey = (manifest: Manifest, key: string) => {
  for (const artifact of manifest.artifacts) artifact.key = key
}

test('planted nonsense is reported, each with its reason, and believed in nothing', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  await coffer.addService('STORAGE', 'file:///srv/media')
  const key = await oneBackup(coffer, worker)
  await using second = await startSecondCatalog(coffer)
  for (const [name, [change, reason]] of Object.entries(NONSENSE)) {
    await writeText(coffer.store, key, await forged(coffer, key, change))
    const report = await second.rebuild()
    expect(report, name).toMatchObject({ added: 0, rejected_count: 1 })
    expect(report.rejected[0]?.reason, name).toMatch(reason)
    await writeText(coffer.store, key, encodeManifest(coffer.secrets, await originalOf(coffer)))
  }
  for (const text of ['', 'null', '{}', '[1]', '{"format": 1}', '\u0000'])
    await writeText(coffer.store, key, text).then(async () => {
      expect(await second.rebuild(), text).toMatchObject({ added: 0, rejected_count: 1 })
    })
  const rows = await second.catalog.query('SELECT 1 FROM backups UNION ALL SELECT 1 FROM applications')
  expect(rows).toEqual([])
})

/** What was sealed, as the catalog that sealed it has it. */
async function originalOf(coffer: TestCoffer) {
  const [row] = await coffer.catalog.query<{ manifest: string }>('SELECT manifest FROM service_instance_backups')
  return inspectManifest(coffer.secrets, row?.manifest ?? '').unsigned
}

test('a whole one that somebody else has signed is shown, bad, never deleted, not restored, until an admin accepts it', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  await coffer.addService('STORAGE', 'file:///srv/media')
  const key = await oneBackup(coffer, worker, daysBefore(NOW, 400))
  await writeText(coffer.store, key, await forged(coffer, key))
  await using second = await startSecondCatalog(coffer)
  const report = await second.rebuild({ now: NOW })
  expect(report).toMatchObject({ added: 1, unverified_count: 1, rejected_count: 0 })
  const backup = report.unverified[0]?.backup ?? ''
  const standing = async () =>
    (await loadRetention(second.catalog, coffer.environmentId)).flatMap(({ backups }) => backups)[0]?.standing
  const manifest = async () =>
    (await second.catalog.query<{ manifest: string }>('SELECT manifest FROM service_instance_backups'))[0]?.manifest ??
    ''
  expect(await standing()).toBe('bad')
  const text = await manifest()
  expect(() => decodeManifest(coffer.secrets, text)).toThrow(`coffer catalog accept ${backup}`)

  await second.catalog.query(`UPDATE environments SET pruning_stopped_at = NULL, pruning_stopped_reason = NULL`)
  const pruned = await pruneEnvironment({ ...worker.context, catalog: second.catalog }, coffer.environmentId, {
    dryRun: false,
  })
  expect(pruned).toMatchObject({ outcome: 'pruned', deleted: [] })

  const openStore = () => Promise.resolve(coffer.store)
  await acceptManifests({ catalog: second.catalog, secrets: coffer.secrets, openStore }, backup, SCOPE)
  expect(await standing()).toBe('good')
  expect(await readText(coffer.store, key)).toBe(await manifest())
  expect(decodeManifest(coffer.secrets, await manifest()).backup.id).toBe(backup)
  expect(await second.rebuild()).toMatchObject({ known: 1, differences_count: 0 })
})

test('a later attempt that was planted hides no genuine one, and a planted sibling joins no genuine backup', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  await coffer.addService('STORAGE', 'file:///srv/media')
  const key = await oneBackup(coffer, worker)
  const place = key.slice(0, -'manifest.json'.length)
  const plant = async (folder: string, change: Change) => {
    await writeText(coffer.store, `${folder}media.tar.zst.age`, 'planted')
    const text = await forged(coffer, key, (manifest) => {
      setKey(manifest, `${folder}media.tar.zst.age`)
      for (const artifact of manifest.artifacts) artifact.stored_size = 'planted'.length
      change(manifest)
    })
    await writeText(coffer.store, `${folder}manifest.json`, text)
  }
  await plant(place.replace('-STORAGE.1/', '-STORAGE.9/'), (m) => (m.service_instance_backup.attempt = 9))
  await plant(place.replace('/DEFAULT-', '/PLANTED-'), (m) => {
    m.service_instance_backup.prefix = 'PLANTED'
    m.service_instance_backup.id = randomUUID()
    m.service_instance_backup.service_instance = randomUUID()
  })
  await using second = await startSecondCatalog(coffer)
  const report = await second.rebuild()
  expect(report).toMatchObject({ manifests: 3, added: 1, unverified_count: 0, rejected_count: 2 })
  const rows = await second.catalog.query('SELECT attempt, unverified_at FROM service_instance_backups')
  expect(rows).toEqual([{ attempt: 1, unverified_at: null }])
})
