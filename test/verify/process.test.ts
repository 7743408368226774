import { randomUUID } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { listOpenAlerts } from '../../shared/catalog/alerts.ts'
import { getBackup } from '../../shared/catalog/backups.ts'
import { beginDeletion } from '../../shared/catalog/deleting.ts'
import { createDownload } from '../../shared/catalog/downloads.ts'
import { createRestore } from '../../shared/catalog/restore-requests.ts'
import { getServiceInstanceBackup } from '../../shared/catalog/service-instance-backups.ts'
import { requestVerifications } from '../../shared/catalog/verification-requests.ts'
import { claimVerification, endVerification, requeueVerification } from '../../shared/catalog/verification-runs.ts'
import type { VerificationSubject } from '../../shared/catalog/verification-subjects.ts'
import { getVerification } from '../../shared/catalog/verifications.ts'
import type { VerificationLevel } from '../../shared/domain/verification.ts'
import { encodeManifest, decodeManifest } from '../../shared/manifest.ts'
import { MANIFEST_NAME, type DumpContents, type UnsignedManifest } from '../../shared/domain/manifest.ts'
import { readArtifact } from '../../shared/pipeline/read-artifact.ts'
import { writeArtifact } from '../../shared/pipeline/write-artifact.ts'
import { recordOf } from '../../workers/verify/part.ts'
import { processVerify } from '../../workers/verify/process-verify.ts'
import { startClockedWorker, type ClockedWorker } from '../support/clocked-worker.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import type { TestDatabase } from '../support/databases.ts'
import { inDatabase } from '../support/sample-data.ts'
import { inPieces } from '../support/streams.ts'
import { addSources, drillUrl, fileOf, keyOf, takeBackup, unsignedManifest } from './sealed.ts'

const SCOPE = { organisationId: null }

let scope: AsyncDisposableStack
let coffer: TestCoffer
let worker: ClockedWorker
let source: TestDatabase
let backup: Awaited<ReturnType<typeof takeBackup>>

beforeEach(async () => {
  scope = new AsyncDisposableStack()
  coffer = scope.use(await startTestCoffer({ env: { COFFER_DRILL_DATABASE_URL: drillUrl() } }))
  worker = scope.use(await startClockedWorker(coffer, { now: new Date() }))
  source = await addSources(coffer)
  scope.defer(() => source.drop())
  backup = await takeBackup(coffer, worker)
})
afterEach(() => scope.disposeAsync())

const ask = async (level: VerificationLevel, serviceInstanceBackup = backup.media.id) => {
  const target = { serviceInstanceBackup }
  const [asked] = await requestVerifications(coffer.catalog, {
    target,
    level,
    by: 'a test',
    scope: SCOPE,
    now: worker.now,
  })
  if (!asked) throw new Error('nothing was asked')
  return asked.uuid
}

/** Asks, carries it out, and tells how it ended. */
async function verified(level: VerificationLevel, id = backup.media.id) {
  const uuid = await ask(level, id)
  await processVerify(worker.context, { data: { id: uuid, attempt: 1 }, attemptsMade: 0 }).catch(() => undefined)
  return getVerification(coffer.catalog, uuid, SCOPE)
}

const part = (id = backup.media.id) => getServiceInstanceBackup(coffer.catalog, id, SCOPE)
const alerts = async () =>
  (await listOpenAlerts(coffer.catalog, SCOPE, 100)).rows.map(({ kind, subject }) => [kind, subject])
const archive = () => fileOf(coffer, keyOf(backup.media, 'archive'))
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'none',
    (error: unknown) => (error as { code: string }).code,
  )

/** Signs what `change` makes of its manifest, in the store and in the catalog: only who has the secret key can do that. */
async function reseal(subject: VerificationSubject, change: (manifest: UnsignedManifest) => UnsignedManifest) {
  const changed = change(unsignedManifest(coffer, subject))
  const text = encodeManifest(coffer.secrets, changed)
  await fileOf(coffer, `${subject.keyPrefix}${MANIFEST_NAME}`).write(text)
  await coffer.catalog.query('UPDATE service_instance_backups SET manifest = $2 WHERE id = $1', [subject.id, text])
  for (const record of changed.artifacts)
    await coffer.catalog.query('UPDATE artifacts SET record = $2 WHERE key = $1', [record.key, JSON.stringify(record)])
}

test('a passed verification is kept with its report, and shown on the backup by its strongest level', async () => {
  expect((await part()).verified).toBeNull()
  const passed = await verified('drill')
  expect(passed).toMatchObject({
    state: 'COMPLETED',
    outcome: 'passed',
    trigger: 'MANUAL',
    requested_by: 'a test',
    errors: [],
  })
  expect(passed.report).toMatchObject({ files: 3, artifacts: 2, left_out: [] })
  const drilledAt = worker.now
  worker.now = new Date(drilledAt.getTime() + 60_000)
  expect((await verified('metadata')).outcome).toBe('passed')
  const shown = await part()
  expect(shown).toMatchObject({ verified: { level: 'drill' }, corrupt: null })
  expect(Date.parse(shown.verified?.at ?? '')).toBe(drilledAt.getTime())
  expect((await getBackup(coffer.catalog, backup.id, SCOPE)).verified).toBeNull()
  await verified('checksum', backup.database.id)
  expect((await getBackup(coffer.catalog, backup.id, SCOPE)).verified).toMatchObject({ level: 'checksum' })
})

test('F31 what is corrupt is alarmed, in quarantine, and cleared by a checksum that finds it whole, but not by its metadata', async () => {
  const whole = await archive().read()
  await archive().flip(-100)
  expect(await verified('checksum')).toMatchObject({ outcome: 'corrupt', errors: [{ code: 'ARTIFACT_CORRUPT' }] })
  expect((await part()).corrupt?.reason).toMatch(/SHA-256|damaged/)
  expect(await getBackup(coffer.catalog, backup.id, SCOPE)).toMatchObject({ corrupt: [backup.media.id] })
  expect(await alerts()).toEqual([['corrupt', backup.media.id]])

  const targets = [{ serviceInstanceBackupId: backup.media.id }]
  const input = { backupId: backup.id, scope: SCOPE, now: worker.now }
  expect(await codeOf(createRestore(coffer.catalog, { ...input, targets, notes: '' }))).toBe('QUARANTINED')
  const download = { ...input, trigger: 'MANUAL', lifeSeconds: 60, createdBy: null }
  expect(await codeOf(createDownload(coffer.catalog, { ...download, serviceInstanceBackups: [backup.media.id] }))).toBe(
    'QUARANTINED',
  )
  expect(await codeOf(createDownload(coffer.catalog, download))).toBe('none')
  expect(await beginDeletion(coffer.catalog, { id: backup.media.id, reason: 'a policy says so' })).toBeNull()

  await archive().write(whole)
  expect((await verified('metadata')).outcome).toBe('passed')
  expect((await part()).corrupt).not.toBeNull()
  expect((await verified('checksum')).outcome).toBe('passed')
  expect((await part()).corrupt).toBeNull()
  expect(await alerts()).toEqual([])
})

test('an object that is missing makes it lost, not corrupt, until it is there again', async () => {
  const whole = await archive().read()
  await archive().remove()
  expect(await verified('checksum')).toMatchObject({
    outcome: 'lost',
    report: { differences: [keyOf(backup.media, 'archive')] },
  })
  expect(await alerts()).toEqual([['lost', backup.media.id]])
  expect((await part()).corrupt).toBeNull()
  await archive().write(whole)
  expect((await verified('metadata')).outcome).toBe('passed')
  expect(await alerts()).toEqual([])
})

test('F34 a wrong key says nothing about the backup: unreadable, with an alert that ends when it was read', async () => {
  const config = { ...worker.context.config, COFFER_AGE_IDENTITY_FILE: undefined }
  const uuid = await ask('checksum')
  const job = { data: { id: uuid, attempt: 1 }, attemptsMade: 0 }
  await expect(processVerify({ ...worker.context, config }, job)).rejects.toThrow('no identity')
  expect(await getVerification(coffer.catalog, uuid, SCOPE)).toMatchObject({
    outcome: 'unreadable',
    errors: [{ code: 'KEY_MISSING' }],
  })
  expect(await alerts()).toEqual([['verify-unreadable', backup.media.id]])
  await expect(processVerify(worker.context, { ...job, attemptsMade: 1 })).rejects.toMatchObject({
    code: 'CONFLICT',
    message: expect.stringContaining('ask for a new one (coffer verify <backup>)') as string,
  })
  expect(await processVerify(worker.context, job)).toBe('nothing to do: another bell was faster')
  expect(await part()).toMatchObject({ verified: null, corrupt: null })
  expect((await verified('metadata')).outcome).toBe('passed')
  expect(await alerts()).toEqual([['verify-unreadable', backup.media.id]])
  expect((await verified('checksum')).outcome).toBe('passed')
  expect(await alerts()).toEqual([])
})

test('a drill whose restored rows are not those of its genuine manifest fails, says which, and leaves the backup good', async () => {
  await reseal(backup.database, (manifest) => {
    const { tables, ...contents } = manifest.contents as DumpContents
    const counted = tables.map((table) => (table.name === 'customer' ? { ...table, rows: 41 } : table))
    return { ...manifest, contents: { ...contents, tables: counted } }
  })

  const failed = await verified('drill', backup.database.id)
  expect(failed).toMatchObject({ outcome: 'failed', errors: [{ code: 'RESTORE_MISMATCH' }] })
  expect(JSON.stringify(failed.report)).toMatch(/customer.* has 40 rows, not 41/)
  expect(await alerts()).toEqual([['drill-failed', backup.database.serviceInstanceId]])
  expect(await part(backup.database.id)).toMatchObject({ corrupt: null, verified: null })
  expect(await verified('checksum', backup.database.id)).toMatchObject({
    outcome: 'failed',
    errors: [{ code: 'CONTENTS_DIFFER' }],
  })
})

test('a drill server that is away, or that nobody named, makes a drill unreadable', async () => {
  for (const [url, code] of [
    ['postgres://nobody:x@127.0.0.1:1/postgres', 'SOURCE_UNREACHABLE'],
    [undefined, 'DRILL_SERVER_MISSING'],
  ]) {
    const uuid = await ask('drill', backup.database.id)
    const context = { ...worker.context, config: { ...worker.context.config, COFFER_DRILL_DATABASE_URL: url } }
    await expect(processVerify(context, { data: { id: uuid, attempt: 1 }, attemptsMade: 0 })).rejects.toThrow()
    expect(await getVerification(coffer.catalog, uuid, SCOPE)).toMatchObject({
      outcome: 'unreadable',
      errors: [{ code }],
    })
  }
  expect(await alerts()).toEqual([['verify-unreadable', backup.database.serviceInstanceId]])
  expect((await verified('drill', backup.database.id)).outcome).toBe('passed')
  expect(await alerts()).toEqual([])
})

test('an extension that the drill server lacks is named in the report of its drill', async () => {
  await inDatabase(source.url, 'CREATE EXTENSION hstore', 'CREATE TABLE tagged (tags hstore)')
  const { database } = await takeBackup(coffer, worker)
  // As if it had been dumped where there is an extension that is not to be had here.
  const { identity, store } = coffer
  const record = recordOf(decodeManifest(coffer.secrets, database.manifest), 'dump')
  const plain = (await buffer(readArtifact({ store, record, identities: [identity] }))).toString('latin1')
  const dump = Buffer.from(plain.replaceAll('hstore', 'nohere'), 'latin1')
  const recipients = worker.context.config.COFFER_AGE_RECIPIENTS
  const written = await writeArtifact({
    store,
    key: record.key,
    kind: 'dump',
    source: inPieces(dump, 10_000),
    recipients,
  })
  await reseal(database, (manifest) => {
    const extensions = (manifest.contents as DumpContents).extensions.map((one) => ({ ...one, name: 'nohere' }))
    return { ...manifest, artifacts: [written.record], contents: { ...manifest.contents, extensions } as DumpContents }
  })

  const ended = await verified('drill', database.id)
  expect(ended.outcome).toBe('failed')
  expect(JSON.stringify(ended.errors)).toMatch(/nohere/)
})

test('a passed drill ends the suspicion about a size', async () => {
  await coffer.catalog.query(`UPDATE service_instance_backups SET suspect_reason = 'small' WHERE id = $1`, [
    backup.media.id,
  ])
  await verified('checksum')
  expect((await part()).suspect).toBe('small')
  await verified('drill')
  expect((await part()).suspect).toBeNull()
})

test("F13 what is being verified can't begin to be deleted, and what is being deleted is not verified", async () => {
  const id = backup.media.id
  const forced = `UPDATE backups SET delete_requested_at = now(), delete_forced = true WHERE id = '${backup.id}'`
  await coffer.catalog.query(forced)
  const claim = {
    attempt: 1,
    owner: 'a worker',
    leaseSeconds: 60,
    gone: { code: 'CONFLICT', message: '', remedy: '', attempt: 1, at: '' },
  }
  await claimVerification(coffer.catalog, { ...claim, id: await ask('checksum'), now: worker.now })
  expect(await beginDeletion(coffer.catalog, { id, reason: 'asked' })).toBeNull()

  const late = await ask('drill')
  await coffer.catalog.query(`DELETE FROM leases`)
  expect(await beginDeletion(coffer.catalog, { id, reason: 'asked' })).not.toBeNull()
  const refused = await processVerify(worker.context, { data: { id: late, attempt: 1 }, attemptsMade: 0 })
  expect(refused).toMatch(/being deleted/)
  expect(await alerts()).toEqual([])
})

test('asking twice for the same is one verification; a bell that rings twice, or for nothing, does nothing', async () => {
  const uuid = await ask('checksum')
  expect(await ask('checksum')).toBe(uuid)
  const job = { data: { id: uuid, attempt: 1 }, attemptsMade: 0 }
  expect(await processVerify(worker.context, job)).toBe('passed')
  expect(await processVerify(worker.context, job)).toMatch(/nothing to do/)
  const unknown = { data: { id: randomUUID(), attempt: 1 }, attemptsMade: 0 }
  expect(await processVerify(worker.context, unknown)).toMatch(/nothing to do/)
})

test('a verifier that was taken over leaves the lease of its successor', async () => {
  const id = await ask('checksum')
  const gone = { code: 'CONFLICT', message: '', remedy: '', attempt: 1, at: worker.now.toISOString() }
  const claim = { id, attempt: 1, owner: 'the second', leaseSeconds: 60, gone, now: worker.now }
  expect(await claimVerification(coffer.catalog, claim)).toHaveProperty('claimed')
  const leases = () => coffer.catalog.query(`SELECT kind, owner FROM leases`)
  const before = await leases()
  expect(before).toMatchObject([{ kind: 'read' }])
  const late = { id, attempt: 1, owner: 'the first' }
  const end = { outcome: 'passed' as const, report: null, error: null, now: worker.now }
  expect(await endVerification(coffer.catalog, late, end, () => Promise.resolve())).toBe('fenced')
  await requeueVerification(coffer.catalog, late)
  expect(await leases()).toEqual(before)
  expect(await getVerification(coffer.catalog, id, SCOPE)).toMatchObject({ state: 'RUNNING' })
})
