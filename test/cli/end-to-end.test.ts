import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestCoffer } from '../support/coffer.ts'
import type { TestCoffer } from '../support/coffer.ts'
import { createTestDatabase } from '../support/databases.ts'
import type { TestDatabase } from '../support/databases.ts'
import { fillFolder, fillTable, inDatabase } from '../support/sample-data.ts'
import { startProcess } from '../support/worker-process.ts'
import { coffer as runHere, startCoffer, temporaryFolder } from './support.ts'
import type { Ended } from './support.ts'

// One story on the real thing, told in order: catalog, Redis, producer, worker and PostgreSQL, each in its own process.

const TOKEN = 'an-admin-token-of-a-test-0123456789'
const scope = new AsyncDisposableStack()
let system: TestCoffer
let url: string
let source: TestDatabase
let target: TestDatabase
let backup: string

const coffer = (args: readonly string[], options: { input?: string; cwd?: string } = {}): Promise<Ended> =>
  runHere(args, { url, token: TOKEN, ...options })

/** The same in a process of its own. */
async function cofferProcess(args: readonly string[]): Promise<Ended> {
  return startCoffer(args, { COFFER_URL: url, COFFER_TOKEN: TOKEN }, await temporaryFolder()).ended
}

const parsed = async (args: readonly string[]) =>
  JSON.parse((await coffer([...args, '--json'])).stdout) as Record<string, unknown>

beforeAll(async () => {
  system = scope.use(await startTestCoffer())
  const producer = scope.use(
    startProcess('producer/main.ts', { env: { ...system.env, PORT: '0', COFFER_ADMIN_TOKEN: TOKEN } }),
  )
  url = String((await producer.line(({ msg }) => msg === 'listening')).url)
  await system.worker()
  ;[source, target] = [await createTestDatabase(), await createTestDatabase()]
  scope.defer(() => source.drop())
  scope.defer(() => target.drop())
  await fillTable(source.url, 1000)
  await fillFolder((await system.mediaRoot('live')).path, 120)
  await mkdir(join(system.folder, 'media/test'))
})

afterAll(() => scope.disposeAsync())

test('status says who the token is, and a wrong token is refused', async () => {
  expect(await coffer(['status'])).toMatchObject({ code: 0, stdout: expect.stringMatching(/role: +admin/) as string })
  const refused = await runHere(['whoami'], { url, token: 'wrong' })
  expect([refused.code, refused.stderr]).toEqual([5, expect.stringMatching(/refused the token from COFFER_TOKEN/)])
})

test('an application, its environments and their services are registered, listed, changed and deleted', async () => {
  for (const args of [
    ['app', 'create', 'blog'],
    ['environment', 'create', 'shop/test', '--timezone', 'Europe/Zurich'],
    ['environment', 'create', 'blog/live'],
    ['app', 'update', 'blog', '--name', 'The Blog'],
    ['environment', 'update', 'blog/live', '--slug', 'www'],
    ['environment', 'delete', 'blog/www'],
  ])
    expect(await coffer(args)).toMatchObject({ code: 0, stderr: '' })
  const services = [
    ['shop/live', 'DATABASE', source.url],
    ['shop/live', 'STORAGE', `file://${system.folder}/media/live`],
    ['shop/test', 'DATABASE', target.url],
    ['shop/test', 'STORAGE', `file://${system.folder}/media/test`],
  ] as const
  for (const [environment, type, input] of services)
    expect(await coffer(['service', 'create', environment, '--type', type, '--url-stdin'], { input })).toMatchObject({
      code: 0,
      stderr: '',
    })
  expect(
    await coffer(['service', 'update', 'shop/test:DATABASE:DEFAULT', '--url-stdin'], { input: target.url }),
  ).toMatchObject({ code: 0 })
  expect((await coffer(['app', 'list'])).stdout).toMatch(/blog +The Blog[^]*shop +Shop/)
  expect((await coffer(['environment', 'list', '--app', 'shop'])).stdout).toMatch(
    /shop\/live +Europe\/Zurich[^]*shop\/test/,
  )
  expect((await coffer(['service', 'list', 'shop/live'])).stdout).toMatch(/DATABASE +DEFAULT[^]*STORAGE +DEFAULT/)
  expect(await coffer(['app', 'delete', 'blog'])).toMatchObject({ code: 0 })
  expect(await coffer(['app', 'show', 'blog'])).toMatchObject({
    code: 4,
    stderr: expect.stringMatching(/no application "blog"/) as string,
  })
})

describe('what the producer does not allow', () => {
  test.each([
    [['app', 'create', 'shop'], 5, /shop/],
    [['app', 'create', 'No Slug!'], 2, /slug/],
    [['environment', 'create', 'shop/x', '--timezone', 'Mars/Olympus'], 2, /timezone/],
    [
      ['service', 'create', 'shop/live', '--type', 'STORAGE', '--prefix', 'ETC', '--url', 'file:///etc'],
      5,
      /COFFER_MEDIA_ROOTS/,
    ],
    [
      ['service', 'create', 'shop/live', '--type', 'DATABASE', '--prefix', 'X', '--url', 'mysql://h/d'],
      2,
      /must begin with postgres/,
    ],
    [['backup', 'create', 'shop/live', '--service', 'NONE'], 4, /there are DATABASE:DEFAULT, STORAGE:DEFAULT/],
    [['backup', 'show', '00000000-0000-4000-8000-000000000000'], 4, /remedy/],
    [['backup', 'show', '../applications'], 4, /remedy/],
  ])('%j ends with %d', async (args, exit, message) => {
    const { code, stdout, stderr } = await coffer(args)
    expect([code, stdout]).toEqual([exit, ''])
    expect(stderr).toMatch(message)
  })
})

test('backup create --wait shows how it goes, ends with 0 when all is sealed, and list and show tell of it', async () => {
  const created = await cofferProcess([
    'backup',
    'create',
    'shop/live',
    '--notes',
    'before \u001b[2J the launch',
    '--wait',
    '--timeout',
    '1m',
  ])
  expect(created).toMatchObject({ code: 0, stdout: expect.stringMatching(/result: +SUCCESS/) as string })
  expect(created.stdout).toMatch(/notes: +before \\u001b\[2J the launch/)
  expect(created.stderr).toMatch(/^backup [0-9a-f-]{36} of shop\/live is queued$/m)
  expect(created.stderr).toMatch(/^DATABASE DEFAULT {2}success, \d/m)
  expect(created.stderr).toMatch(/^STORAGE DEFAULT {2}success, \d/m)
  backup = /backup: +(\S+)/.exec(created.stdout)?.[1] ?? ''
  expect((await coffer(['backup', 'list', 'shop/live'])).stdout).toMatch(new RegExp(`shop/live +SUCCESS .* ${backup}`))
  const shown = await parsed(['backup', 'show', backup])
  expect(shown).toMatchObject({
    uuid: backup,
    success: 'SUCCESS',
    service_instance_backup_details: [{ success: 'SUCCESS' }, { success: 'SUCCESS' }],
  })
})

test('with --json a finished backup is one document on stdout, and nothing else is said', async () => {
  const { code, stdout, stderr } = await coffer([
    'backup',
    'create',
    'shop/live',
    '--service',
    'STORAGE:DEFAULT',
    '--wait',
    '--json',
  ])
  expect([code, stderr]).toEqual([0, ''])
  expect(JSON.parse(stdout)).toMatchObject({
    success: 'SUCCESS',
    service_instance_backup_details: [{ service_type: 'STORAGE' }],
  })
})

test('a download in plain and in stored form is what was recorded, and the dump goes to stdout as well', async () => {
  const folder = await temporaryFolder()
  for (const form of [[], ['--stored']])
    expect(await coffer(['backup', 'download', backup, ...form], { cwd: folder })).toMatchObject({ code: 0 })
  const names = (await readdir(folder)).map((name) => name.replace(/^.*?\./, '.')).sort()
  expect(names).toEqual(['.dump', '.dump.zst.age', '.ndjson', '.ndjson.zst.age', '.tar', '.tar.zst.age'])
  const piped = await cofferProcess(['download', backup, '--service', 'DATABASE:DEFAULT', '-o', '-'])
  expect([piped.code, piped.stdout.startsWith('PGDMP')]).toEqual([0, true])
  const dump = (await readdir(folder)).find((name) => name.endsWith('.dump')) ?? ''
  const digest = createHash('sha256')
    .update(await readFile(join(folder, dump)))
    .digest('hex')
  expect(piped.stderr).toContain(`stdout  sha256 ${digest}`)
  expect(await coffer(['download', backup], { cwd: folder })).toMatchObject({
    code: 5,
    stderr: expect.stringMatching(/exists already/) as string,
  })
  expect(await coffer(['download', backup, '-o', 'one.file'], { cwd: folder })).toMatchObject({ code: 2 })
})

const sums = 'SELECT count(*)::int AS rows, md5(string_agg(body, id::text ORDER BY id)) AS hash FROM item'
const tree = (name: string) =>
  readdir(join(system.folder, 'media', name), { recursive: true }).then((paths) => paths.sort())

test('restore wants the name of its target, and gives the rows and files back', async () => {
  const restore = ['restore', backup, '--to', 'shop/test', '--wait', '--timeout', '1m']
  expect(await coffer(restore)).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringMatching(/give the same command with --confirm shop\/test\n/) as string,
  })
  expect(await coffer([...restore, '--confirm', 'shop/live'])).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/"shop\/live" is not the target: it is shop\/test, and nothing was done/) as string,
  })
  const typed = await runHere(restore, { url, token: TOKEN, input: 'shop/test\n', isTTY: true })
  expect(typed).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(
      /result: +SUCCESS[^]*DATABASE DEFAULT of shop\/test: success[^]*rows: 1000/,
    ) as string,
    stderr: expect.stringMatching(/^This replaces what shop\/test holds\. Type shop\/test to go on: /) as string,
  })
  expect(await inDatabase(target.url, sums)).toEqual(await inDatabase(source.url, sums))
  expect(await tree('test')).toEqual(await tree('live'))
})

test('a restore over living data shows its safety backup, is listed, and is undone or confirmed once', async () => {
  await inDatabase(target.url, `UPDATE item SET body = 'rewritten'; CREATE TABLE later ()`)
  const broken = await inDatabase(target.url, sums)
  const restore = ['restore', backup, '--to', 'shop/test', '--service', 'DATABASE:DEFAULT', '--confirm', 'shop/test']
  const restored = await coffer([...restore, '--wait', '--notes', 'wrong rows'])
  expect(restored).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(
      /seconds: .*preflight [^]*safety_backup: [0-9a-f-]{36}\n[^]*the old state is kept:/,
    ) as string,
  })
  const uuid = /restore: +(\S+)/.exec(restored.stdout)?.[1] ?? ''
  expect(await coffer(['restore', 'show', uuid])).toMatchObject({ code: 0, stdout: restored.stdout })
  expect((await coffer(['restore', 'list', 'shop/test'])).stdout).toMatch(
    new RegExp(`SUCCESS +DATABASE DEFAULT of shop/test +${backup} +${uuid} +wrong rows`),
  )
  expect(await inDatabase(target.url, sums)).toEqual(await inDatabase(source.url, sums))

  expect(await coffer(['restore', 'undo', uuid, '--wait'])).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/success, undone \d{4}-/) as string,
  })
  expect(await inDatabase(target.url, sums)).toEqual(broken)
  for (const verb of ['undo', 'confirm', 'cancel'])
    expect(await coffer(['restore', verb, uuid])).toMatchObject({ code: 5 })

  const again = /restore: +(\S+)/.exec((await coffer([...restore, '--wait', '--no-safety-backup'])).stdout)?.[1] ?? ''
  expect(await coffer(['restore', 'confirm', again, '--wait'])).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/success, confirmed \d{4}-[^]*safety_backup: none: it was not wanted\n/) as string,
  })
})

test('one file and one table are restored alone, and a selection of nothing that there is ends with 1', async () => {
  const part = ['restore', backup, '--to', 'shop/test', '--confirm', 'shop/test', '--wait']
  await rm(join(system.folder, 'media/test/folder-0/file-0.txt'))
  await inDatabase(target.url, 'DELETE FROM item')
  const file = await coffer([...part, '--path', 'folder-0/file-0.txt'])
  expect([file.code, file.stdout]).toEqual([0, expect.not.stringContaining('DATABASE DEFAULT')])
  expect(await tree('test')).toEqual(await tree('live'))
  expect(await inDatabase(target.url, 'SELECT FROM item')).toEqual([])
  expect(await coffer([...part, '--table', 'public.item'])).toMatchObject({ code: 0 })
  expect(await inDatabase(target.url, sums)).toEqual(await inDatabase(source.url, sums))
  expect(await coffer([...part, '--table', 'public.nothing'])).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/TARGET_INCOMPATIBLE: .*nothing/) as string,
  })
})

test('a backup of which a part fails ends with 3, says why, and downloads what there is with 3', async () => {
  const wrong = new URL(source.url)
  wrong.pathname = '/no_such_database'
  expect(
    await coffer(['service', 'create', 'shop/live', '--type', 'DATABASE', '--prefix', 'GONE', '--url-stdin'], {
      input: wrong.href,
    }),
  ).toMatchObject({ code: 0 })
  const partial = await coffer(['backup', 'create', 'shop/live', '--wait', '--timeout', '1m'])
  expect([partial.code, partial.stdout]).toEqual([3, expect.stringMatching(/SOURCE_DATABASE_UNKNOWN[^]*remedy: /)])
  const uuid = /backup: +(\S+)/.exec(partial.stdout)?.[1] ?? ''
  expect(await coffer(['download', uuid])).toMatchObject({
    code: 3,
    stdout: expect.stringMatching(/missing: DATABASE GONE: failure/) as string,
  })
  const failed = await coffer(['backup', 'create', 'shop/live', '--service', 'GONE', '--wait'])
  expect(failed.code).toBe(1)
  expect(await coffer(['backup', 'retry', backup])).toMatchObject({ code: 5 })
})

test('catalog check finds that catalog and store agree, then what a store has lost', async () => {
  const whole = await coffer(['catalog', 'check'])
  expect(whole).toMatchObject({ code: 0, stdout: expect.stringContaining('the catalog and the store agree') as string })
  const [manifest = ''] = (await system.objects()).filter((key) => key.endsWith('/manifest.json'))
  await rm(join(system.folder, 'store', manifest))
  const { code, stdout } = await coffer(['catalog', 'check'])
  expect([code, stdout]).toEqual([1, expect.stringMatching(/lost: \S+\n +missing: /)])
  expect(stdout).toContain(`missing: ${manifest}`)
  expect((await coffer(['status'])).stdout).toMatch(/open alerts?:\n[^]*\nlost /)
})
