import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { zipped, type BundleEntry } from '../../producer/download-bundle.ts'
import { generateIdentity } from '../../shared/pipeline/age-header.ts'
import { startTestProducer, type TestProducer } from '../support/producer.ts'
import { drain } from '../support/streams.ts'
import { damage, fetchBytes, isOpen, linksTo, seal, type Sealed } from './sealed.ts'

const MIB = 1024 * 1024

let time: Date | null = null
let producer: TestProducer
let recipient: string
let folder: string

beforeAll(async () => {
  const keys = await generateIdentity()
  recipient = keys.recipient
  folder = await mkdtemp(join(tmpdir(), 'coffer-bundle-'))
  await writeFile(join(folder, 'key.txt'), `${keys.identity}\n`, { mode: 0o600 })
  producer = await startTestProducer({
    env: { COFFER_AGE_IDENTITY_FILE: join(folder, 'key.txt') },
    clock: () => time ?? new Date(),
  })
})
afterAll(async () => {
  await producer[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

async function bundleOf({ backup, part }: Sealed): Promise<{ download: string; url: string }> {
  const body = { backup, service_instance_backups: [part] }
  const answer = await producer.ask('POST', '/apps/v3/backup-downloads/', { body })
  return { download: answer.body.uuid, url: String(answer.body['bundle_url']) }
}

/** Unpacked by Python, which reads the central directory, and checks every CRC. */
async function unzip(zip: Buffer): Promise<string[]> {
  const file = join(folder, 'bundle.zip')
  await writeFile(file, zip)
  const script = `import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as z:
  assert z.testzip() is None
  z.extractall(sys.argv[2])
  print("\\n".join(z.namelist()))`
  return execFileSync('python3', ['-c', script, file, join(folder, 'out')])
    .toString()
    .trim()
    .split('\n')
}

test('one link gives everything plain, with its manifest and the page on recovery', async () => {
  const archive = randomBytes(3 * MIB + 1)
  const list = Buffer.from('{"path":"a"}\n'.repeat(1000))
  const sealed = await seal(producer, recipient, { archive, 'file-list': list })
  await producer.catalog.query(`UPDATE service_instance_backups SET manifest = '{"format": 1}' WHERE id = $1`, [
    sealed.part,
  ])
  const [item] = await linksTo(producer, sealed)
  const { url } = await bundleOf(sealed)
  const head = await fetch(url, { method: 'HEAD' })
  expect(head.headers.get('content-type')).toBe('application/zip')
  expect(head.headers.get('content-disposition')).toMatch(
    /^attachment; filename="shop-[0-9a-f]{8}-live-\d{8}T\d{6}Z\.zip"$/,
  )
  const { status, bytes } = await fetchBytes(url)
  expect(status).toBe(200)

  const tar = `DEFAULT-STORAGE/${item?.filename ?? ''}`
  const names = await unzip(bytes as Buffer)
  expect(names).toEqual([
    'recover-without-coffer.md',
    'DEFAULT-STORAGE/manifest.json',
    tar,
    tar.replace(/\.tar$/, '.ndjson'),
  ])
  const out = (name: string) => readFile(join(folder, 'out', name))
  expect((await out(tar)).equals(archive)).toBe(true)
  expect((await out(names[3] ?? '')).equals(list)).toBe(true)
  expect(String(await out('DEFAULT-STORAGE/manifest.json'))).toBe('{"format": 1}')
  expect((await out('recover-without-coffer.md')).equals(await readFile('docs/recover-without-coffer.md'))).toBe(true)
})

test('its end is always that of Zip64, so that the whole may exceed 4 GiB; archiver writes entries so once they do', async () => {
  async function* entries(): AsyncGenerator<BundleEntry> {
    yield await Promise.resolve({ name: 'a', source: bytes(5000), isPacked: true })
  }
  async function* bytes(count: number): AsyncGenerator<Buffer> {
    yield await Promise.resolve(randomBytes(count))
  }
  const zip = await drain(zipped(entries()))
  // The end record of Zip64 and its locator lie before the usual one.
  expect(zip.readUInt32LE(zip.length - 22)).toBe(0x06054b50)
  expect(zip.readUInt32LE(zip.length - 22 - 20)).toBe(0x07064b50)
  expect(zip.readUInt32LE(zip.length - 22 - 20 - 56)).toBe(0x06064b50)
  expect(await unzip(zip)).toEqual(['a'])
})

test('a damaged artifact breaks it: no program takes the beginning for the whole', async () => {
  const sealed = await seal(producer, recipient, { archive: randomBytes(24 * MIB), 'file-list': Buffer.from('x') })
  await damage(sealed.path('archive'), 100_000)
  const { url } = await bundleOf(sealed)
  expect((await fetchBytes(url)).bytes).toBeNull()
  expect(await isOpen(sealed.path('archive'))).toBe(false)
})

test('a client that goes away half-way closes the artifact', async () => {
  const sealed = await seal(producer, recipient, { archive: randomBytes(24 * MIB) })
  const { url } = await bundleOf(sealed)
  const abort = new AbortController()
  const response = await fetch(url, { signal: abort.signal })
  await response.body?.getReader().read()
  expect(await isOpen(sealed.path('archive'))).toBe(true)
  abort.abort()
  await expect.poll(() => isOpen(sealed.path('archive'))).toBe(false)
})

test('its link is for nothing else, expires, and is revoked with all others of the download', async () => {
  const sealed = await seal(producer, recipient, { archive: Buffer.from('abc') })
  const { download, url } = await bundleOf(sealed)
  const listed = await producer.ask('GET', `/apps/v3/backup-download-service-instances/?backup=${download}`)
  const link = String(listed.body.results[0]?.['download_url'])
  const statusOf = async (address: string) => (await fetch(address)).status
  expect(await statusOf(url.replace('/bundle?', '/plain?'))).toBe(404)
  expect(await statusOf(link.replace('/plain?', '/bundle?'))).toBe(404)
  time = new Date(Date.now() + 86_400_001)
  expect(await statusOf(url)).toBe(410)
  time = null
  expect([await statusOf(url), await statusOf(link)]).toEqual([200, 200])

  const foreign = await producer.createToken('admin', await otherOrganisation())
  const revoke = `/apps/v3/backup-downloads/${download}/`
  expect((await producer.ask('DELETE', revoke, { token: foreign })).status).toBe(404)
  expect((await producer.ask('DELETE', revoke)).status).toBe(204)
  expect([await statusOf(url), await statusOf(link)]).toEqual([410, 410])
  expect(await producer.catalog.query(`SELECT 1 FROM leases WHERE owner = $1`, [`download ${download}`])).toEqual([])
})

async function otherOrganisation(): Promise<string> {
  const [row] = await producer.catalog.query<{ id: string }>(
    `INSERT INTO organisations (id, slug, name, created_at) VALUES (gen_random_uuid(), $1, 'other', now()) RETURNING id`,
    [`other-${randomBytes(4).toString('hex')}`],
  )
  return row?.id ?? ''
}

test('a producer with another identity than the backup wants offers none', async () => {
  const { recipient: stranger } = await generateIdentity()
  const { backup } = await seal(producer, stranger, { archive: Buffer.from('abc') })
  const answer = await producer.ask('POST', '/apps/v3/backup-downloads/', { body: { backup } })
  expect(answer.body).toMatchObject({ bundle_url: null })
})

test('a producer without the identity offers none', async () => {
  await using keyless = await startTestProducer()
  const sealed = await seal(keyless, recipient, { archive: Buffer.from('abc') })
  const body = { backup: sealed.backup }
  expect((await keyless.ask('POST', '/apps/v3/backup-downloads/', { body })).body).toMatchObject({ bundle_url: null })
})
