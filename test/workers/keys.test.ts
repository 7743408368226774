import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { openKeys } from '../../scripts/up/keys.ts'
import { registerRecipient, retireRecipient } from '../../shared/catalog/recipients.ts'
import { readIdentities } from '../../shared/identities.ts'
import { checkKeys } from '../../shared/keys-check.ts'
import { generateIdentity } from '../../shared/pipeline/age-header.ts'
import { readArtifact } from '../../shared/pipeline/read-artifact.ts'
import { listKeyReports } from '../../shared/catalog/key-reports.ts'
import { inspectManifest } from '../../shared/manifest.ts'
import { reportOwnKeys } from '../../workers/tick/report-keys.ts'
import { startClockedWorker } from '../support/clocked-worker.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { until } from '../support/until.ts'
import { startProcess } from '../support/worker-process.ts'

const anything = () => undefined

/** The manifest of a new backup, taken by a worker with these keys. */
async function backedUp(coffer: TestCoffer, env: Record<string, string>) {
  await using worker = await coffer.worker({ env })
  const { uuid } = await coffer.backup()
  expect((await coffer.ended(uuid)).success).toBe('SUCCESS')
  await worker.stop()
  const [row] = await coffer.catalog.query<{ manifest: string }>(
    'SELECT manifest FROM service_instance_backups WHERE backup_id = $1',
    [uuid],
  )
  return inspectManifest(coffer.secrets, row?.manifest ?? '').manifest
}

const opens = async (
  coffer: TestCoffer,
  { artifacts }: { artifacts: Parameters<typeof readArtifact>[0]['record'][] },
  file: string,
) => {
  const [record] = artifacts
  if (!record) throw new Error('no artifact')
  const source = readArtifact({ store: coffer.store, record, identities: await readIdentities(file) })
  return (await buffer(Readable.from(source))).length === record.plain_size
}

test('F34 rotation: with a new key of "up", new backups are written for it alone, and the old ones stay readable', async () => {
  await using coffer = await startTestCoffer()
  const { path, url } = await coffer.mediaRoot('shop')
  await writeFile(join(path, 'a.txt'), 'a')
  await coffer.addService('STORAGE', url)
  const given = { COFFER_SECRET_KEY: coffer.env.COFFER_SECRET_KEY }
  const before = await openKeys(coffer.folder, given)
  const first = await backedUp(coffer, before.env)
  const after = await openKeys(coffer.folder, given, true)
  expect((await openKeys(coffer.folder, given)).env).toEqual(after.env)
  const second = await backedUp(coffer, after.env)
  expect(first.recipients).toEqual([before.env['COFFER_AGE_RECIPIENTS']])
  expect(second.recipients).toEqual([after.env['COFFER_AGE_RECIPIENTS']])
  expect(second.recipients).not.toEqual(first.recipients)
  const file = after.env['COFFER_AGE_IDENTITY_FILE'] ?? ''
  expect([await opens(coffer, first, file), await opens(coffer, second, file)]).toEqual([true, true])
  await expect(openKeys(coffer.folder, { COFFER_AGE_RECIPIENTS: 'age1' }, true)).rejects.toThrow('--new-key')
})

test('registered recipients are used beside those of the environment, and retired ones by nobody; the manifest lists them', async () => {
  await using coffer = await startTestCoffer()
  const { url } = await coffer.mediaRoot('shop')
  await coffer.addService('STORAGE', url)
  const recovery = await generateIdentity()
  const given = [coffer.env.COFFER_AGE_RECIPIENTS ?? '']
  const change = { given, now: new Date(), require: anything }
  await registerRecipient(coffer.catalog, { ...change, recipient: recovery.recipient, name: 'recovery' })
  const both = await backedUp(coffer, {})
  expect(both.recipients).toEqual([...given, recovery.recipient])
  await writeFile(join(coffer.folder, 'recovery.txt'), `${recovery.identity}\n`)
  expect(await opens(coffer, both, join(coffer.folder, 'recovery.txt'))).toBe(true)
  await retireRecipient(coffer.catalog, { ...change, recipient: given[0] ?? '' })
  expect((await backedUp(coffer, {})).recipients).toEqual([recovery.recipient])
  // Nothing is ever written in the clear because the last one was retired.
  const last = retireRecipient(coffer.catalog, { ...change, recipient: recovery.recipient })
  await expect(last).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
})

test('F34 the test at the start tells what the identities open, by a canary that was encrypted as a backup is', async () => {
  const [a, b, c] = [await generateIdentity(), await generateIdentity(), await generateIdentity()]
  expect(await checkKeys([a.recipient, b.recipient], [c.identity, b.identity], 'file')).toEqual({
    loaded: [c.recipient, b.recipient],
    opens: [b.recipient],
    problem: null,
  })
  const wrong = await checkKeys([a.recipient], [c.identity], 'file')
  expect(wrong.opens).toEqual([])
  for (const name of [a.recipient, c.recipient]) expect(wrong.problem).toContain(name)
  expect((await checkKeys([a.recipient], [], 'file')).problem).toContain("file can't be read")
  expect((await checkKeys([a.recipient], [], undefined)).problem).toBeNull()
  expect((await checkKeys([], [c.identity], 'file')).problem).toBeNull()
  await expect(checkKeys([`${a.recipient.slice(0, -4)}qqqq`], [], undefined)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
  })
})

test('a worker whose identities open nothing says so by an alert, which ends when they do; one without a file is right as it is', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: new Date() })
  const alerts = async () =>
    (
      await coffer.catalog.query<{ subject: string }>(
        `SELECT subject FROM alerts WHERE kind = 'keys' AND resolved_at IS NULL ORDER BY subject`,
      )
    ).map(({ subject }) => subject.replace(/ on .*/, ''))
  const file = coffer.env.COFFER_AGE_IDENTITY_FILE ?? ''
  await writeFile(file, `${(await generateIdentity()).identity}\n`)
  await reportOwnKeys(worker.context)
  expect(await alerts()).toEqual(['all workers', 'worker'])
  await rm(file)
  await reportOwnKeys(worker.context)
  expect(await alerts()).toEqual(['all workers', 'worker'])
  const config = { ...worker.context.config, COFFER_AGE_IDENTITY_FILE: undefined }
  await reportOwnKeys({ ...worker.context, config })
  expect(await alerts()).toEqual(['all workers'])
  await writeFile(file, `${coffer.identity}\n`)
  await reportOwnKeys(worker.context)
  expect(await alerts()).toEqual([])
  expect(await listKeyReports(coffer.catalog)).toMatchObject([{ opens: [coffer.env.COFFER_AGE_RECIPIENTS] }])
})

test('neither worker nor producer starts with a recipient or an identity that is none; both start, and say it, when the file is away', async () => {
  await using coffer = await startTestCoffer()
  const recipient = coffer.env.COFFER_AGE_RECIPIENTS ?? ''
  const damaged = `${recipient.slice(0, -1)}${recipient.endsWith('q') ? 'p' : 'q'}`
  for (const script of ['workers/main.ts', 'producer/main.ts']) {
    await using process = startProcess(script, { env: { ...coffer.env, PORT: '0', COFFER_AGE_RECIPIENTS: damaged } })
    await process.ended
    expect(process.child.exitCode, process.output()).toBe(1)
    expect(process.output()).toContain('is not a public key')
  }
  await rm(coffer.env.COFFER_AGE_IDENTITY_FILE ?? '')
  await coffer.worker()
  await using producer = startProcess('producer/main.ts', { env: { ...coffer.env, PORT: '0' } })
  const { url } = await producer.line(({ msg }) => msg === 'listening')
  expect(producer.output()).toContain('the keys of this producer do not open what is written now')
  const ready = await until(async () => fetch(new URL('/readyz', String(url))))
  expect(ready.status).toBe(503)
  expect(await ready.text()).toContain("can't be read")
})
