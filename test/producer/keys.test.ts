import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { reportKeys } from '../../shared/catalog/key-reports.ts'
import { recipientsInUse } from '../../shared/catalog/recipients.ts'
import { parseIdentities, recipientsOf } from '../../shared/identities.ts'
import { generateIdentity } from '../../shared/pipeline/age-header.ts'
import { coffer as command, serve } from '../cli/support.ts'
import { startTestProducer, type TestProducer } from '../support/producer.ts'
import { seal } from './sealed.ts'

interface Pair {
  identity: string
  recipient: string
}

let folder: string
let service: Pair
let old: Pair
let producer: TestProducer

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coffer-keys-'))
  ;[service, old] = [await generateIdentity(), await generateIdentity()]
  await writeFile(join(folder, 'identity.txt'), `${old.identity}\n${service.identity}\n`)
  producer = await startTestProducer({
    env: { COFFER_AGE_IDENTITY_FILE: join(folder, 'identity.txt'), COFFER_AGE_RECIPIENTS: service.recipient },
  })
})

afterAll(async () => {
  await producer[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

const keys = async () => (await producer.ask('GET', '/apps/v3/keys/')).body
const inUse = () => recipientsInUse(producer.catalog, [service.recipient])
const tell = (...args: string[]) => command(args, { url: producer.url, token: producer.place.adminToken, cwd: folder })

describe('coffer keys', () => {
  test('init makes a key on the client, shows it once, and registers only its public half', async () => {
    const fetched = vi.spyOn(globalThis, 'fetch')
    const shown = await tell('keys', 'init')
    const sent = JSON.stringify(fetched.mock.calls)
    fetched.mockRestore()
    expect(shown.code, shown.stderr).toBe(0)
    const identity = /AGE-SECRET-KEY-1[0-9A-Z]+/.exec(shown.stdout)?.[0] ?? ''
    const [recipient = ''] = await recipientsOf([identity])
    for (const needed of ['COFFER RECOVERY KEY', recipient, 'age --decrypt', 'pg_restore', 'tar --extract'])
      expect(shown.stdout).toContain(needed)
    expect(sent).toContain(recipient)
    expect(sent).not.toContain(identity)
    expect(await inUse()).toEqual([service.recipient, recipient])
    const rows = await producer.catalog.query<{ text: string }>('SELECT r::text AS text FROM recipients r')
    expect(rows.map(({ text }) => text).join()).toContain(recipient)
    expect(rows.map(({ text }) => text).join()).not.toContain(identity)
  })

  test('init writes the page only where it is told to, for its owner only, and never over a file', async () => {
    const written = await tell('keys', 'init', '--page', 'page.txt', '--name', 'vault')
    expect(written.code, written.stderr).toBe(0)
    const page = await readFile(join(folder, 'page.txt'), 'utf8')
    const [identity = ''] = await parseIdentities(/AGE-SECRET-KEY-1[0-9A-Z]+/.exec(page)?.[0] ?? '', 'page')
    expect(written.stdout + written.stderr).not.toContain(identity)
    const before = await inUse()
    expect((await tell('keys', 'init', '--page', 'page.txt')).stderr).toContain('page.txt exists already')
    expect(await inUse()).toEqual(before)
    expect(await readFile(join(folder, 'page.txt'), 'utf8')).toBe(page)
  })

  test('init leaves no page behind that nothing was registered for', async () => {
    const token = await producer.createToken('viewer')
    const refused = await command(['keys', 'init', '--page', 'none.txt'], { url: producer.url, token, cwd: folder })
    expect(refused.code).toBe(5)
    await expect(readFile(join(folder, 'none.txt'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('init keeps the key where only the answer was lost: it may be registered', async () => {
    const url = await serve((request) => request.socket.destroy())
    const lost = (...args: string[]) => command(['keys', 'init', ...args], { url, cwd: folder })
    const toPage = await lost('--page', 'kept.txt')
    expect(toPage).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/not known: keep .*kept\.txt until/) as string,
    })
    expect(await readFile(join(folder, 'kept.txt'), 'utf8')).toContain('AGE-SECRET-KEY-1')
    expect((await lost()).stdout).toMatch(
      /AGE-SECRET-KEY-1[^]*is not known: keep this page until "coffer keys list" shows no age1/,
    )
    expect(JSON.parse((await lost('--json')).stdout)).toMatchObject({
      registered: null,
      identity: expect.stringContaining('AGE-SECRET-KEY-1') as string,
      problem: { code: 'PRODUCER_UNREACHABLE' },
    })
  })

  test('list and check say what each key can read, and how much none of the servers can', async () => {
    const stranger = await generateIdentity()
    await seal(producer, service.recipient, { archive: Buffer.from('readable') })
    await seal(producer, old.recipient, { archive: Buffer.from('older') })
    await seal(producer, stranger.recipient, { archive: Buffer.from('of a lost key') })
    const listed = await tell('keys', 'list')
    expect(listed.stdout).toContain('1 service-instance backup can be opened by no key that a server holds')
    const rows = (await keys()).results as unknown as {
      recipient: string
      in_use: boolean
      opened_by: string[]
      backups: number
    }[]
    const row = (recipient: string) => rows.find((candidate) => candidate.recipient === recipient)
    expect(row(service.recipient)).toMatchObject({ in_use: true, opened_by: ['producer'], backups: 1 })
    expect(row(old.recipient)).toMatchObject({ in_use: false, opened_by: ['producer'], backups: 1 })
    expect(row(stranger.recipient)).toMatchObject({ in_use: false, opened_by: [], backups: 1 })
    await writeFile(join(folder, 'stranger.txt'), `${stranger.identity}\n`)
    const checked = await tell('keys', 'check', 'stranger.txt')
    expect(checked).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('opens 1 service-instance backup') as string,
    })
    await writeFile(join(folder, 'nobody.txt'), `${(await generateIdentity()).identity}\n`)
    expect((await tell('keys', 'check', 'nobody.txt')).code).toBe(1)
  })

  test('retire is refused where no server could read new backups then, and always where nobody could', async () => {
    const others = (await inUse()).filter((recipient) => recipient !== service.recipient)
    const refused = await tell('keys', 'retire', service.recipient)
    expect(refused.code).toBe(5)
    expect(refused.stderr).toContain('no running producer or worker holds the identity')
    for (const recipient of others) expect((await tell('keys', 'retire', recipient)).code).toBe(0)
    const last = await tell('keys', 'retire', service.recipient, '--yes')
    expect(last.code).not.toBe(0)
    expect(await inUse()).toEqual([service.recipient])

    const next = await generateIdentity()
    const body = { recipient: next.recipient, name: 'next' }
    expect((await producer.ask('POST', '/apps/v3/keys/', { body })).status).toBe(201)
    expect((await tell('keys', 'retire', service.recipient)).code).toBe(5)
    const report = { name: 'worker on elsewhere', loaded: [next.recipient], opens: [next.recipient] }
    await reportKeys(producer.catalog, 'a worker', report, 60)
    expect((await tell('keys', 'retire', service.recipient)).code).toBe(0)
    // Retired by the catalog, whatever the environment of a process still says.
    expect(await inUse()).toEqual([next.recipient])
  })
})

test('no tenant sees or changes the keys of the installation, and no text becomes a recipient that is none', async () => {
  const { organisation } = (await producer.ask('GET', '/apps/v3/applications/')).body.results[0] as unknown as {
    organisation: string
  }
  const token = await producer.createToken('admin', organisation)
  for (const [method, path] of [
    ['GET', '/apps/v3/keys/'],
    ['GET', `/apps/v3/keys/${service.recipient}/backups/`],
    ['POST', `/apps/v3/keys/${service.recipient}/retire/`],
    ['POST', '/apps/v3/catalog/rebuild/'],
  ] as const)
    expect((await producer.ask(method, path, { token, ...(method === 'POST' ? { body: {} } : {}) })).status).toBe(403)
  const mistyped = `${service.recipient.slice(0, -1)}${service.recipient.endsWith('q') ? 'p' : 'q'}`
  for (const recipient of [mistyped, service.identity, 'age1']) {
    const answer = await producer.ask('POST', '/apps/v3/keys/', { body: { recipient, name: 'x' } })
    expect(answer.status).toBe(422)
    expect(answer.text).not.toContain(service.identity)
  }
})
