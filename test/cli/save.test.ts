import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { saveToFile, saveToStream } from '../../cli/save.ts'
import { serve, temporaryFolder } from './support.ts'

const bytesOf = (size: number) => Buffer.from(Array.from({ length: size }, (_, n) => (n * 31) % 251))
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const broken = (message: RegExp) => ({ code: 'DOWNLOAD_BROKEN', message: expect.stringMatching(message) as string })
const options = () => ({ signal: new AbortController().signal, onBytes: () => undefined })

async function fetched(bytes: Buffer, { chunk = bytes.length, announced = bytes } = {}) {
  const url = await serve((_request, response) => {
    const pieces = Array.from({ length: Math.ceil(bytes.length / (chunk || 1)) }, (_, n) =>
      bytes.subarray(n * chunk, (n + 1) * chunk),
    )
    const write = () => {
      const piece = pieces.shift()
      if (piece) response.write(piece, () => setImmediate(write))
      else response.end()
    }
    write()
  })
  return { name: 'x.dump', response: await fetch(url), size: announced.length, sha256: sha256(announced) }
}

describe('a download', () => {
  const body = bytesOf(300)
  test.each([
    ['whole', 300],
    ['byte by byte', 1],
    ['one short of all', 299],
    ['in two', 150],
  ])('that comes %s lands under its name, byte for byte, for its owner only', async (_title, chunk) => {
    const folder = await temporaryFolder()
    await saveToFile(join(folder, 'x.dump'), await fetched(body, { chunk }), options())
    expect(await readFile(join(folder, 'x.dump'))).toEqual(body)
    expect((await stat(join(folder, 'x.dump'))).mode & 0o777).toBe(0o600)
    expect(await readdir(folder)).toEqual(['x.dump'])
  })

  test('of no bytes at all is an empty file, and 3 MiB arrive as they are', async () => {
    const folder = await temporaryFolder()
    const large = Buffer.concat(Array.from({ length: 64 }, () => bytesOf(48 * 1024)))
    await saveToFile(join(folder, 'empty'), await fetched(Buffer.alloc(0)), options())
    await saveToFile(join(folder, 'large'), await fetched(large, { chunk: 65_537 }), options())
    expect((await stat(join(folder, 'empty'))).size).toBe(0)
    expect(sha256(await readFile(join(folder, 'large')))).toBe(sha256(large))
  })

  test.each([
    ['one byte is missing', body.subarray(0, 299), /has 299 bytes, not the 300/],
    ['there is one too many', Buffer.concat([body, Buffer.from('x')]), /has 301 bytes, not the 300/],
    [
      'one bit has changed',
      Buffer.from(body.map((byte, n) => (n === 150 ? byte ^ 1 : byte))),
      /has SHA-256 [0-9a-f]{64}, not the /,
    ],
    ['nothing comes', Buffer.alloc(0), /has 0 bytes, not the 300/],
  ])('is refused when %s, and leaves nothing behind', async (_title, sent, message) => {
    const folder = await temporaryFolder()
    const saved = saveToFile(join(folder, 'x.dump'), await fetched(sent, { announced: body }), options())
    await expect(saved).rejects.toMatchObject(broken(message))
    expect(await readdir(folder)).toEqual([])
  })

  test('whose connection drops says after how many bytes, and leaves nothing behind', async () => {
    const url = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': '300' })
      response.write(body.subarray(0, 100), () => setImmediate(() => response.destroy()))
    })
    const folder = await temporaryFolder()
    const half = { name: 'x.dump', response: await fetch(url), size: 300, sha256: sha256(body) }
    await expect(saveToFile(join(folder, 'x.dump'), half, options())).rejects.toMatchObject(
      broken(/broke off after (100|0) of 300 bytes/),
    )
    expect(await readdir(folder)).toEqual([])
  })

  test('never replaces a file that appeared meanwhile', async () => {
    const folder = await temporaryFolder()
    const path = join(folder, 'x.dump')
    await writeFile(path, 'mine')
    await expect(saveToFile(path, await fetched(body), options())).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' })
    expect(await readFile(path, 'utf8')).toBe('mine')
    expect(await readdir(folder)).toEqual(['x.dump'])
  })

  test('into a folder that does not exist says so', async () => {
    const path = join(await temporaryFolder(), 'nowhere/x.dump')
    const expected = {
      code: 'OUTPUT_FAILED',
      message: expect.stringMatching(/cannot write to .*nowhere.*ENOENT/) as string,
    }
    await expect(saveToFile(path, await fetched(body), options())).rejects.toMatchObject(expected)
  })

  test('that is stopped while bytes flow ends with the reason and leaves nothing behind', async () => {
    const url = await serve((_request, response) =>
      response.writeHead(200, { 'content-length': '300' }).write(body.subarray(0, 100)),
    )
    const [folder, stop, reason] = [await temporaryFolder(), new AbortController(), new Error('enough')]
    const endless = {
      name: 'x.dump',
      response: await fetch(url, { signal: stop.signal }),
      size: 300,
      sha256: sha256(body),
    }
    const onBytes = () => stop.abort(reason)
    await expect(saveToFile(join(folder, 'x.dump'), endless, { signal: stop.signal, onBytes })).rejects.toBe(reason)
    expect(await readdir(folder)).toEqual([])
  })
})

describe('a download to a stream', () => {
  test('arrives, and leaves the stream open for what follows', async () => {
    const stream = new PassThrough()
    const whole = buffer(stream)
    await saveToStream(stream, await fetched(bytesOf(300), { chunk: 7 }), options())
    stream.end('!')
    expect(await whole).toEqual(Buffer.concat([bytesOf(300), Buffer.from('!')]))
  })

  test('that is not what was announced fails though the bytes are out', async () => {
    const stream = new PassThrough().resume()
    await expect(
      saveToStream(stream, await fetched(bytesOf(5), { announced: bytesOf(6) }), options()),
    ).rejects.toMatchObject(broken(/5 bytes/))
  })

  test('onto a full disk is OUTPUT_FAILED', async () => {
    const full = createWriteStream('/dev/full')
    await once(full, 'open')
    const expected = { code: 'OUTPUT_FAILED', message: expect.stringMatching(/ENOSPC/) as string }
    await expect(saveToStream(full, await fetched(bytesOf(5)), options())).rejects.toMatchObject(expected)
  })
})
