import { execFileSync } from 'node:child_process'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { send } from '../../cli/send.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { plantTar } from '../support/repacks.ts'
import { services, startProducerOf, type CofferProducer } from '../support/uploads.ts'
import { apiOf, coffer as run, serve, temporaryFolder } from './support.ts'

const TAR = plantTar([{ path: 'a.txt', content: 'of a file' }])

let coffer: TestCoffer
let producer: CofferProducer
let target: string

beforeAll(async () => {
  coffer = await startTestCoffer()
  producer = await startProducerOf(coffer, { env: { COFFER_UPLOAD_MAX_BYTES: '100000' } })
  const { storage } = await services(coffer)
  target = storage
  await coffer.worker()
})
afterAll(async () => {
  await producer[Symbol.asyncDispose]()
  await coffer[Symbol.asyncDispose]()
})

const command = (args: string[], options: { cwd?: string; input?: string } = {}) =>
  run(args, { url: producer.url, token: producer.adminToken, ...options })

const outcomes = async () =>
  (await coffer.catalog.query<{ success: string | null }>('SELECT success FROM backups ORDER BY created_at')).map(
    ({ success }) => success,
  )

test('a file becomes a backup, which --wait follows to its end; the bundle of it holds what was uploaded', async () => {
  const cwd = await temporaryFolder()
  await writeFile(join(cwd, 'media.tar'), TAR)
  const made = await command(['upload', target, 'media.tar', '--notes', 'from a laptop', '--wait', '--json'], { cwd })
  expect([made.code, made.stderr]).toEqual([0, ''])
  const backup = JSON.parse(made.stdout) as Record<string, string>
  expect(backup).toMatchObject({ trigger: 'UPLOAD', success: 'SUCCESS', notes: 'from a laptop' })

  const fetched = await command(['download', backup['uuid'] ?? '', '--bundle', '--output', 'out/'], { cwd })
  expect([fetched.code, await readdir(join(cwd, 'out'))]).toEqual([0, [`${backup['uuid'] ?? ''}.zip`]])
  const script = 'import sys, zipfile\nprint("\\n".join(zipfile.ZipFile(sys.argv[1]).namelist()))'
  const names = execFileSync('python3', ['-c', script, join(cwd, 'out', `${backup['uuid'] ?? ''}.zip`)]).toString()
  expect(names).toMatch(/recover-without-coffer\.md\nP\w+-STORAGE\/manifest\.json\n.*\.tar\n.*\.ndjson\n/)
  const again = await command(['download', backup['uuid'] ?? '', '--bundle', '--output', 'out/'], { cwd })
  expect(again).toMatchObject({ code: 5, stderr: expect.stringContaining('exists already') as string })
})

test('stdin is uploaded, too, and one that does not parse ends with 1 and the reason', async () => {
  const good = await command(['upload', target, '-', '--wait'], { input: TAR.toString('latin1') })
  expect(good).toMatchObject({ code: 0, stdout: expect.stringMatching(/result: +SUCCESS/) as string })
  const bad = await command(['upload', target, '-', '--wait'], { input: 'no tar' })
  expect(bad).toMatchObject({ code: 1, stdout: expect.stringMatching(/ARCHIVE_INVALID|not a valid tar/) as string })
})

test('what is too large is refused before it is sent, from stdin while it is; no backup stays open', async () => {
  const cwd = await temporaryFolder()
  await writeFile(join(cwd, 'large'), Buffer.alloc(100_001))
  const file = await command(['upload', target, 'large'], { cwd })
  expect(file).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/large has 97\.7 KiB.*at most 97\.7 KiB/) as string,
  })
  expect((await command(['upload', target, '-'], { input: 'x'.repeat(100_001) })).code).not.toBe(0)
  expect((await outcomes()).slice(-2)).toEqual(['CANCELLED', 'CANCELLED'])
})

test('a file that is not there, or is none, is wrong usage, and asks for no upload', async () => {
  const before = (await outcomes()).length
  for (const file of ['missing', '.'])
    expect(await command(['upload', target, file])).toMatchObject({ code: 2, stdout: '' })
  expect(await outcomes()).toHaveLength(before)
})

test('what arrives otherwise than it was sent is a failure', async () => {
  const url = await serve((request, response) => {
    request
      .resume()
      .once('end', () =>
        response.setHeader('content-type', 'application/json').end(JSON.stringify({ size: 3, sha256: '0'.repeat(64) })),
      )
  })
  const sent = { stream: Readable.from([Buffer.from('abc')]), name: 'x', size: 3 }
  await expect(send(apiOf(url), `${url}put`, sent, () => undefined)).rejects.toMatchObject({ code: 'UPLOAD_BROKEN' })
})
