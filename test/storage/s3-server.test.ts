import { spawn } from 'node:child_process'
import { createHash, createHmac, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { crc32 } from 'node:zlib'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openStore } from '../../shared/storage/open-store.ts'
import { decodeAwsChunked } from '../support/s3-server/aws-chunked.ts'
import { startS3Server } from '../support/s3-server/server.ts'
import type { S3Server } from '../support/s3-server/server.ts'
import { chunked } from './conformance.ts'

const hash = (text: string | Buffer) => createHash('sha256').update(text).digest('hex')
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()
const DATE = '20260102T030405Z'
const clock = () => new Date('2026-01-02T03:04:05Z')
const SCOPE = '20260102/us-east-1/s3/aws4_request'

function sign({ keys }: S3Server, canonical: string): string {
  const key = SCOPE.split('/').reduce<string | Buffer>(
    (secret, part) => hmac(secret, part),
    `AWS4${keys.secretAccessKey}`,
  )
  return hmac(key, ['AWS4-HMAC-SHA256', DATE, SCOPE, hash(canonical)].join('\n')).toString('hex')
}

/** A request signed by hand, as the documentation of Signature Version 4 says; `headers` in alphabetical order. */
async function send(server: S3Server, method: string, path: string, headers: Record<string, string>, body?: Buffer) {
  const signed = { host: new URL(server.endpoint).host, ...headers, 'x-amz-date': DATE }
  const names = Object.keys(signed).sort()
  const lines = names.map((name) => `${name}:${signed[name as 'host']}`)
  const payload = headers['x-amz-content-sha256'] ?? ''
  const [resource = '', query = ''] = path.split('?')
  const canonical = [method, resource, query, ...lines, '', names.join(';'), payload].join('\n')
  const credential = `${server.keys.accessKeyId}/${SCOPE}`
  const authorization = `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names.join(';')}, Signature=${sign(server, canonical)}`
  const reply = await fetch(server.endpoint + path, {
    method,
    headers: { ...headers, 'x-amz-date': DATE, authorization },
    ...(body && { body: new Uint8Array(body) }),
  })
  return { status: reply.status, code: /<Code>(\w+)</.exec(await reply.clone().text())?.[1], reply }
}

async function start() {
  const server = await startS3Server({ clock })
  onTestFinished(() => server.close())
  return server
}

const put = (server: S3Server, headers: Record<string, string>, body: Buffer) =>
  send(server, 'PUT', '/test-bucket/object', headers, body)

describe('the test server', () => {
  test('takes a signed body, and refuses one that is not what was signed', async () => {
    const server = await start()
    const body = Buffer.from('the body')
    const right = { 'x-amz-content-sha256': hash(body) }
    expect(await put(server, right, body)).toMatchObject({ status: 200 })
    expect(await put(server, right, Buffer.from('the BODY'))).toMatchObject({ code: 'XAmzContentSHA256Mismatch' })
    expect(await put(server, { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' }, body)).toMatchObject({ status: 200 })
    expect(server.bucket.objects.get('object')?.size).toBe(8)
  })

  test.each([
    ['content-md5', 'md5'],
    ['x-amz-checksum-sha256', 'sha256'],
  ])('compares %s', async (header, algorithm) => {
    const server = await start()
    const body = Buffer.from('the body')
    const digest = (of: string) => createHash(algorithm).update(of).digest('base64')
    const unsigned = { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' }
    expect(await put(server, { [header]: digest('another'), ...unsigned }, body)).toMatchObject({ code: 'BadDigest' })
    expect(server.bucket.objects.size).toBe(0)
    expect(await put(server, { [header]: digest('the body'), ...unsigned }, body)).toMatchObject({ status: 200 })
  })

  test('decodes aws-chunked and compares the checksum of the trailer', async () => {
    const server = await start()
    const crc = Buffer.alloc(4)
    crc.writeUInt32BE(crc32('hello world'))
    const headers = {
      'content-encoding': 'aws-chunked',
      'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      'x-amz-decoded-content-length': '11',
      'x-amz-trailer': 'x-amz-checksum-crc32',
    }
    const framed = (checksum: string) =>
      Buffer.from(`6\r\nhello \r\n5\r\nworld\r\n0\r\nx-amz-checksum-crc32:${checksum}\r\n\r\n`)
    expect(await put(server, headers, framed('AAAAAA=='))).toMatchObject({ code: 'BadDigest' })
    expect(await put(server, headers, framed(crc.toString('base64')))).toMatchObject({ status: 200 })
    const { reply } = await send(server, 'GET', '/test-bucket/object', { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' })
    expect(await reply.text()).toBe('hello world')
  })

  test.each([1, 2, 3, 7, 1000])('decodes aws-chunked that comes in pieces of %s bytes', async (size) => {
    const framed = Buffer.from('a;chunk-signature=x\r\n0123456789\r\n1\r\n\r\r\n0\r\na:b\r\nc: d\r\n\r\n')
    const trailer = {}
    const pieces = chunked(framed, size) as AsyncIterable<Buffer>
    expect(String(await buffer(Readable.from(decodeAwsChunked(pieces, trailer))))).toBe('0123456789\r')
    expect(trailer).toEqual({ a: 'b', c: 'd' })
  })

  test('refuses aws-chunked that is cut anywhere', async () => {
    const framed = Buffer.from('3\r\nabc\r\n0\r\na:b\r\n\r\n')
    for (let length = 0; length < framed.length; length++) {
      const cut = decodeAwsChunked(Readable.from([framed.subarray(0, length)]), {})
      await expect(buffer(Readable.from(cut))).rejects.toThrow()
    }
  })

  test('takes a presigned address until it expires, and only as it was signed', async () => {
    let now = clock()
    const server = await startS3Server({ clock: () => now })
    onTestFinished(() => server.close())
    await put(server, { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' }, Buffer.from('the body'))
    const credential = encodeURIComponent(`${server.keys.accessKeyId}/${SCOPE}`)
    const query = `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${credential}&X-Amz-Date=${DATE}&X-Amz-Expires=60&X-Amz-SignedHeaders=host`
    const host = new URL(server.endpoint).host
    const canonical = ['GET', '/test-bucket/object', query, `host:${host}`, '', 'host', 'UNSIGNED-PAYLOAD'].join('\n')
    const url = `${server.endpoint}/test-bucket/object?${query}&X-Amz-Signature=${sign(server, canonical)}`
    expect(await (await fetch(url)).text()).toBe('the body')
    expect(await (await fetch(url.replace('object?', 'other?'))).text()).toContain('SignatureDoesNotMatch')
    now = new Date(now.getTime() + 60_001)
    expect(await (await fetch(url)).text()).toContain('Request has expired')
  })

  test('refuses a request without a signature', async () => {
    const server = await start()
    expect((await fetch(`${server.endpoint}/test-bucket?list-type=2`)).status).toBe(403)
  })

  test('refuses parts that are too small, out of order, altered or unknown, and an upload that is gone', async () => {
    const server = await start()
    const unsigned = { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' }
    const path = '/test-bucket/object'
    const created = await send(server, 'POST', `${path}?uploads=`, unsigned)
    const id = /<UploadId>(.*?)</.exec(await created.reply.text())?.[1] ?? ''
    const etags: string[] = []
    for (const number of [1, 2]) {
      const part = await send(server, 'PUT', `${path}?partNumber=${number}&uploadId=${id}`, unsigned, randomBytes(9))
      etags[number] = part.reply.headers.get('etag') ?? ''
    }
    const complete = async (...parts: [number, string | undefined][]) => {
      const list = parts
        .map(([n, etag]) => `<Part><PartNumber>${n}</PartNumber><ETag>${etag ?? ''}</ETag></Part>`)
        .join('')
      const xml = Buffer.from(`<CompleteMultipartUpload>${list}</CompleteMultipartUpload>`)
      return (await send(server, 'POST', `${path}?uploadId=${id}`, unsigned, xml)).code
    }
    expect(await complete([1, etags[1]], [2, etags[2]])).toBe('EntityTooSmall')
    expect(await complete([2, etags[2]], [1, etags[1]])).toBe('InvalidPartOrder')
    expect(await complete([1, etags[2]])).toBe('InvalidPart')
    expect(await complete([3, etags[1]])).toBe('InvalidPart')
    expect(await complete()).toBe('MalformedXML')
    expect(await complete([1, etags[1]])).toBeUndefined()
    expect(await complete([1, etags[1]])).toBe('NoSuchUpload')
  })

  test('runs as a process of its own, keeping bodies in a folder and none too many', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'coffer-s3-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const script = join(import.meta.dirname, '../support/s3-server/main.ts')
    const child = spawn(process.execPath, [script, JSON.stringify({ keep: { folder } })], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const ask = async (line?: unknown): Promise<unknown> => {
      if (line !== undefined) child.stdin.write(`${JSON.stringify(line)}\n`)
      return JSON.parse(String((await lines.next()).value))
    }
    const { url, credentials } = (await ask()) as { url: string; credentials: Record<string, string> }
    const { AWS_ACCESS_KEY_ID: accessKeyId = '', AWS_SECRET_ACCESS_KEY: secretAccessKey = '' } = credentials
    const store = openStore(url, { credentials: { accessKeyId, secretAccessKey } })
    expect(await ask({ op: 'CompleteMultipartUpload', kind: 'drop-reply' })).toEqual({ added: true })
    const bytes = randomBytes(6 * 1024 ** 2)
    await store.write('object', chunked(bytes, 100_000), { expectedSize: 0 })
    expect((await buffer(await store.read('object', { start: 5_000_000 }))).equals(bytes.subarray(5_000_000))).toBe(
      true,
    )
    await store.write('object', chunked(bytes, 100_000), { expectedSize: 0 })
    expect(await readdir(folder)).toHaveLength(2)
    await store.delete('object')
    expect(await readdir(folder)).toEqual([])
    expect(await ask('requests')).toMatchObject([
      { op: 'CreateMultipartUpload' },
      { op: 'UploadPart' },
      {},
      {},
      {},
      {},
      {},
      {},
      {},
      {},
      {},
      {},
      {},
    ])
    store.close()
    child.stdin.end()
    await once(child, 'close')
  })
})
