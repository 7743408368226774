import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { createServer, get, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { execFileSync } from 'node:child_process'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { generateIdentity } from '../../shared/pipeline/age-header.ts'
import { sendStream, watchIdle } from '../../producer/send-stream.ts'
import { startTestProducer, type TestProducer } from '../support/producer.ts'
import { damage, fetchBytes, isOpen, linksTo, seal, type Item } from './sealed.ts'

const MIB = 1024 * 1024
/** More than is read ahead, so that the answer has begun when its end is read. */
const LARGE = 24 * MIB

let time = new Date()
let producer: TestProducer
let keys: { identity: string; recipient: string }
let identityFile: string

beforeAll(async () => {
  keys = await generateIdentity()
  identityFile = join(await mkdtemp(join(tmpdir(), 'coffer-key-')), 'key.txt')
  await writeFile(identityFile, `# made for a test\n${keys.identity}\n`, { mode: 0o600 })
  producer = await startTestProducer({ env: { COFFER_AGE_IDENTITY_FILE: identityFile }, clock: () => time })
})
afterAll(async () => {
  await producer[Symbol.asyncDispose]()
  await rm(dirname(identityFile), { recursive: true })
})

const sealHere = (contents: Parameters<typeof seal>[2]) => seal(producer, keys.recipient, contents)

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

test('an archive and its file list come plain and as stored, with size, digest and a name', async () => {
  const archive = randomBytes(3 * MIB + 17)
  const list = Buffer.from('{"path":"a"}\n')
  const sealed = await sealHere({ archive, 'file-list': list })
  const [first, second] = (await linksTo(producer, sealed)) as [Item, Item]
  expect([first.artifact, second.artifact]).toEqual(['archive', 'file-list'])
  expect(first.filename).toMatch(/^shop-[0-9a-f]{8}-live-DEFAULT-\d{8}T\d{6}Z\.tar$/)
  expect(first.stored_filename).toBe(`${first.filename}.zst.age`)
  expect(second.filename).toMatch(/\.ndjson$/)

  const plain = await fetchBytes(first.download_url)
  expect(plain.status).toBe(200)
  expect(plain.bytes?.equals(archive)).toBe(true)
  expect(plain.headers.get('content-length')).toBe(String(archive.length))
  expect(plain.headers.get('x-checksum-sha256')).toBe(sha256(archive))
  expect(plain.headers.get('repr-digest')).toBe(`sha-256=:${createHash('sha256').update(archive).digest('base64')}:`)
  expect(plain.headers.get('content-disposition')).toBe(`attachment; filename="${first.filename}"`)
  expect(plain.headers.get('cache-control')).toContain('no-store')
  expect((await fetchBytes(second.download_url)).bytes).toEqual(list)

  const stored = await fetchBytes(first.stored_url)
  expect(stored.bytes?.equals(await readFile(sealed.path('archive')))).toBe(true)
  const decrypted = execFileSync('sh', ['-c', 'age -d -i "$0" | zstd -d', identityFile], {
    input: stored.bytes ?? Buffer.alloc(0),
    maxBuffer: 8 * MIB,
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  expect(decrypted.equals(archive)).toBe(true)
})

test('an empty artifact is an empty body and not a broken one', async () => {
  const [item] = await linksTo(producer, await sealHere({ archive: Buffer.alloc(0) }))
  const plain = await fetchBytes(item?.download_url ?? '')
  expect(plain).toMatchObject({ status: 200, bytes: Buffer.alloc(0) })
})

test('ranges of the stored form are served; ones beyond it are refused; a plain one has none', async () => {
  const sealed = await sealHere({ archive: randomBytes(200_000) })
  const [item] = (await linksTo(producer, sealed)) as [Item]
  const stored = await readFile(sealed.path('archive'))
  const size = stored.length
  for (const [range, start, end] of [
    ['bytes=0-0', 0, 0],
    ['bytes=100-70000', 100, 70_000],
    [`bytes=${size - 1}-`, size - 1, size - 1],
    ['bytes=-5', size - 5, size - 1],
    [`bytes=0-${size * 2}`, 0, size - 1],
  ] as const) {
    const part = await fetchBytes(item.stored_url, { range })
    expect(part.status, range).toBe(206)
    expect(part.headers.get('content-range')).toBe(`bytes ${start}-${end}/${size}`)
    expect(part.bytes?.equals(stored.subarray(start, end + 1)), range).toBe(true)
  }
  const etag = `"${sealed.records['archive']?.stored_sha256 ?? ''}"`
  expect((await fetchBytes(item.stored_url, { range: 'bytes=0-9', 'if-range': etag })).status).toBe(206)
  expect((await fetchBytes(item.stored_url, { range: 'bytes=0-9', 'if-range': '"other"' })).status).toBe(200)
  expect((await fetchBytes(item.stored_url, { range: 'bytes=0-1,5-6' })).bytes?.equals(stored)).toBe(true)
  const beyond = await fetch(item.stored_url, { headers: { range: `bytes=${size}-` } })
  expect(beyond.headers.get('content-range')).toBe(`bytes */${size}`)
  expect(await beyond.json()).toMatchObject({ status: 416, code: 'RANGE_NOT_SATISFIABLE' })
  expect((await fetchBytes(item.download_url, { range: 'bytes=0-9' })).bytes?.length).toBe(200_000)
})

test('HEAD tells what GET would send', async () => {
  const [item] = (await linksTo(producer, await sealHere({ archive: Buffer.from('abc') }))) as [Item]
  const head = await fetch(item.download_url, { method: 'HEAD' })
  expect(head.status).toBe(200)
  expect(head.headers.get('content-length')).toBe('3')
  expect(head.headers.get('x-checksum-sha256')).toBe(sha256(Buffer.from('abc')))
})

test('a link that was altered, belongs to another form or has expired gives nothing', async () => {
  const [item] = (await linksTo(producer, await sealHere({ archive: Buffer.from('abc') }))) as [Item]
  const url = new URL(item.download_url)
  const altered = (change: (link: URL) => void) => {
    const link = new URL(url)
    change(link)
    return fetch(link).then((response) => response.json())
  }
  const later = String(Number(url.searchParams.get('expires')) + 1)
  expect(await altered((link) => link.searchParams.set('expires', later))).toMatchObject({ status: 404 })
  expect(await altered((link) => link.searchParams.set('signature', '0'.repeat(64)))).toMatchObject({ status: 404 })
  expect(await altered((link) => link.searchParams.delete('signature'))).toMatchObject({ status: 422 })
  expect(await altered((link) => (link.pathname = link.pathname.replace('plain', 'stored')))).toMatchObject({
    status: 404,
  })
  expect(await altered((link) => (link.pathname = link.pathname.replace(item.uuid, randomUUID())))).toMatchObject({
    status: 404,
  })
  const now = time
  time = new Date(now.getTime() + 86_400_000)
  try {
    expect(await altered(() => undefined)).toMatchObject({ status: 410, code: 'LINK_EXPIRED' })
  } finally {
    time = now
  }
  expect((await fetchBytes(item.download_url)).bytes).toEqual(Buffer.from('abc'))
})

test('a small artifact that is damaged is a problem document, and a large one breaks off before its end', async () => {
  const small = await sealHere({ archive: randomBytes(1000) })
  const [smallItem] = (await linksTo(producer, small)) as [Item]
  await damage(small.path('archive'), 100)
  for (const url of [smallItem.download_url, smallItem.stored_url]) {
    const response = await fetch(url)
    expect(response.headers.get('content-type')).toContain('application/problem+json')
    expect(response.headers.get('content-disposition')).toBeNull()
    expect(await response.json()).toMatchObject({ status: 500, code: 'ARTIFACT_CORRUPT' })
  }

  const large = await sealHere({ archive: randomBytes(LARGE) })
  const [largeItem] = (await linksTo(producer, large)) as [Item]
  await truncate(large.path('archive'), LARGE - 50_000)
  expect(await fetchBytes(largeItem.download_url)).toMatchObject({ status: 200, bytes: null })
  expect(await fetchBytes(largeItem.stored_url)).toMatchObject({ status: 200, bytes: null })
})

test('an object of the right size with other bytes never ends well, in either form', async () => {
  const sealed = await sealHere({ archive: randomBytes(LARGE) })
  const [item] = (await linksTo(producer, sealed)) as [Item]
  await damage(sealed.path('archive'), 10)
  expect(await fetchBytes(item.download_url)).toMatchObject({ status: 200, bytes: null })
  expect(await fetchBytes(item.stored_url)).toMatchObject({ status: 200, bytes: null })
})

test('an object that is gone from the store is a problem that names it', async () => {
  const sealed = await sealHere({ archive: randomBytes(1000) })
  const [item] = (await linksTo(producer, sealed)) as [Item]
  await rm(sealed.path('archive'))
  const response = await fetch(item.download_url)
  expect(await response.json()).toMatchObject({
    status: 404,
    code: 'OBJECT_NOT_FOUND',
    detail: expect.stringContaining('archive') as string,
  })
})

test('a download keeps its backup from being deleted, and a backup that is being deleted gives no download', async () => {
  const sealed = await sealHere({ archive: Buffer.from('abc') })
  const [item] = (await linksTo(producer, sealed)) as [Item]
  const leases = await producer.catalog.query(
    `SELECT 1 FROM leases WHERE kind = 'read' AND service_instance_backup_id = $1 AND expires_at > now() + interval '1 day'`,
    [sealed.part],
  )
  expect(leases).toHaveLength(1)
  await producer.catalog.query(`UPDATE service_instance_backups SET state = 'DELETING' WHERE id = $1`, [sealed.part])
  expect(await (await fetch(item.download_url)).json()).toMatchObject({ status: 410, code: 'LINK_EXPIRED' })
  const body = { backup: sealed.backup, service_instance_backups: [sealed.part] }
  expect((await producer.ask('POST', '/apps/v3/backup-downloads/', { body })).body).toMatchObject({ status: 409 })
  const all = await producer.ask('POST', '/apps/v3/backup-downloads/', { body: { backup: sealed.backup } })
  expect(all.body).toMatchObject({ status: 409, detail: `backup ${sealed.backup} has nothing that can be read` })
})

test('parts of another backup are a 404', async () => {
  const [one, other] = [await sealHere({ archive: Buffer.from('a') }), await sealHere({ archive: Buffer.from('b') })]
  const body = { backup: one.backup, service_instance_backups: [other.part] }
  expect((await producer.ask('POST', '/apps/v3/backup-downloads/', { body })).body).toMatchObject({ status: 404 })
})

test('without an identity only the stored form is offered, and why is said', async () => {
  await using keyless = await startTestProducer()
  const sealed = await seal(keyless, keys.recipient, { archive: randomBytes(1000) })
  const [item] = (await linksTo(keyless, sealed)) as [Item]
  expect(item.download_url).toBeNull()
  expect(item.errors).toMatchObject([{ code: 'KEY_MISSING' }])
  expect((await fetchBytes(item.stored_url)).bytes).toEqual(await readFile(sealed.path('archive')))
})

test('a client that goes away half-way closes the object', async () => {
  const sealed = await sealHere({ archive: randomBytes(LARGE) })
  const [item] = (await linksTo(producer, sealed)) as [Item]
  const request = get(item.download_url)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  await once(response, 'data')
  expect(await isOpen(sealed.path('archive'))).toBe(true)
  request.destroy()
  await expect.poll(() => isOpen(sealed.path('archive'))).toBe(false)
})

test('a client that stops reading is let go, and the source closed', async () => {
  let isClosed = false
  async function* endless(): AsyncGenerator<Buffer> {
    try {
      for (;;) yield await Promise.resolve(Buffer.alloc(MIB))
    } finally {
      isClosed = true
    }
  }
  const server = createServer((_request, response) => {
    const abort = new AbortController()
    sendStream(response, watchIdle(endless(), abort, 100), abort.signal).catch((error: unknown) =>
      server.emit('ended', error),
    )
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const request = get({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' })
  request.on('error', () => undefined)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  response.on('error', () => undefined).pause()
  const [error] = (await once(server, 'ended')) as [unknown]
  expect(error).toMatchObject({ code: 'RUN_STALLED' })
  expect(isClosed).toBe(true)
  // Nothing holds the server open any more.
  server.close()
  await once(server, 'close')
})

test('what is found corrupt after its links were made is not handed out by them', async () => {
  const sealed = await sealHere({ archive: randomBytes(1_000), 'file-list': Buffer.from('{}\n') })
  const [item] = (await linksTo(producer, sealed)) as [Item]
  expect((await fetchBytes(item.stored_url)).status).toBe(200)
  await producer.catalog.query('UPDATE service_instance_backups SET corrupt_at = now() WHERE id = $1', [sealed.part])
  for (const url of [item.stored_url, item.download_url]) expect((await fetchBytes(url)).status).toBe(409)
  const shown = await producer.ask('GET', `/apps/v3/backup-download-service-instances/${item.uuid}/`)
  expect(shown.body).toMatchObject({ download_url: null, errors: [{ code: 'QUARANTINED' }] })
})
