import { readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { askSecretly } from '../../cli/ask-secretly.ts'
import { loginsFile } from '../../cli/logins.ts'
import { createOutput } from '../../cli/output.ts'
import { plantBackups } from '../support/planted-backups.ts'
import { startTestProducer, type TestProducer } from '../support/producer.ts'
import { coffer as runHere, startCoffer, temporaryFolder } from './support.ts'

// The command against a real producer.

let producer: TestProducer
beforeAll(async () => {
  producer = await startTestProducer()
})
afterAll(() => producer[Symbol.asyncDispose]())

const coffer = (...args: string[]) => runHere(args, { url: producer.url, token: producer.place.adminToken })
const json = async <T>(...args: string[]) => JSON.parse((await coffer(...args, '--json')).stdout) as T

test('after a login commands go there from any folder, and after a logout they do not', async () => {
  const [file, cwd] = [join(await temporaryFolder(), 'config/coffer/logins.json'), await temporaryFolder()]
  const at = (args: string[], input = '') => runHere(args, { cwd, loginsFile: file, input })
  const address = `${producer.url}/`
  const refused = await at(['login', address], 'wrong\n')
  expect(refused).toMatchObject({
    code: 5,
    stdout: '',
    stderr: expect.stringMatching(/the token from stdin[^]*remedy: .*coffer login http/) as string,
  })
  expect(await at(['login', address], ' \n')).toMatchObject({ code: 2 })
  expect(await at(['login', 'coffer.example'], 'x')).toMatchObject({ code: 2 })
  await expect(stat(file)).rejects.toThrow('ENOENT')

  const kept = await at(['login', address], `${producer.place.adminToken}\n`)
  expect(kept).toMatchObject({ code: 0, stderr: '' })
  expect(kept.stdout).toMatch(
    /^logged in at http:\/\/127\.0\.0\.1:\d+\/ as bootstrap admin \(admin\); the token is kept in /,
  )
  expect(kept.stdout).not.toContain(producer.place.adminToken)
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect((await stat(dirname(file))).mode & 0o777).toBe(0o700)

  const status = await at(['status'])
  expect(status).toMatchObject({
    code: 0,
    stdout: expect.stringContaining(`token:        accepted (from ${file})`) as string,
  })
  expect(await at(['logout'])).toMatchObject({ code: 0 })
  expect(await readFile(file, 'utf8')).not.toContain(producer.place.adminToken)
  expect(await at(['logout', address])).toMatchObject({ code: 4 })
})

test('the real command keeps the token in the folder that XDG names, or in the home', async () => {
  const config = await temporaryFolder()
  const { stdin, ended } = startCoffer(
    ['login', producer.url, '--json'],
    { PATH: process.env['PATH'] ?? '', XDG_CONFIG_HOME: config },
    config,
  )
  stdin?.end(producer.place.adminToken)
  const { code, stdout } = await ended
  expect([code, JSON.parse(stdout)]).toMatchObject([
    0,
    { kept_in: join(config, 'coffer/logins.json'), me: { role: 'admin' } },
  ])
  const other = { PATH: process.env['PATH'] ?? '', XDG_CONFIG_HOME: config, COFFER_TOKEN: 'of-another' }
  const status = await startCoffer(['status'], other, config).ended
  expect(status).toMatchObject({ code: 0, stderr: expect.stringMatching(/^COFFER_TOKEN is ignored: /) as string })
  expect(loginsFile({ HOME: '/home/me' })).toBe('/home/me/.config/coffer/logins.json')
  expect(loginsFile({ HOME: '/home/me', XDG_CONFIG_HOME: 'relative' })).toBe('/home/me/.config/coffer/logins.json')
})

test('a token that is typed is not shown', async () => {
  const modes: boolean[] = []
  const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode: (raw: boolean) => modes.push(raw) })
  const stderr = new PassThrough()
  const asked = askSecretly({ stdin, output: createOutput(false, new PassThrough(), stderr) }, 'Token')
  stdin.write('secrex')
  stdin.write('\u007ft\r')
  expect(await asked).toBe('secret')
  stderr.end()
  expect([await text(stderr), modes]).toEqual(['Token: \n', [true, false]])
})

test('a token is made, alone on stdout, listed, and revoked by its name', async () => {
  await coffer('organisation', 'create', 'tokens')
  const made = await coffer(
    'token',
    'create',
    'ci',
    '--role',
    'operator',
    '--organisation',
    'tokens',
    '--expires',
    '2199-01-31T12:00:00Z',
  )
  expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^coffer_[0-9a-f]{64}\n$/) as string })
  expect(made.stderr).toMatch(/^token ci \(operator\), .*not shown again:\n$/)
  const token = made.stdout.trim()
  const asIt = (...args: string[]) => runHere(args, { url: producer.url, token })
  expect((await asIt('status')).stdout).toMatch(/signed in as: +ci\nrole: +operator\n/)
  expect(await asIt('token', 'create', 'more', '--role', 'viewer')).toMatchObject({ code: 5 })
  const { stdout } = await coffer('token', 'list')
  expect(stdout).toMatch(/^NAME +ROLE +ORGANISATION +EXPIRES +LAST USED +UUID\n/)
  expect(stdout).toMatch(/ci +operator +tokens +2199-01-31 12:00:00Z +\d{4}-.*Z /)
  expect(stdout).toMatch(/bootstrap admin +admin +all +never /)
  expect(await coffer('token', 'create', 'x', '--role', 'root')).toMatchObject({ code: 2 })
  expect(await coffer('token', 'revoke', 'ci')).toMatchObject({ code: 0, stdout: 'token ci is revoked\n' })
  expect(await asIt('status')).toMatchObject({ code: 5 })
  expect(await coffer('token', 'revoke', 'ci')).toMatchObject({ code: 4 })
  expect(await json('token', 'create', 'm2m', '--role', 'viewer')).toMatchObject({
    token: expect.stringMatching(/^coffer_/) as string,
    role: 'viewer',
    organisation: null,
  })
})

test('organisations get media roots, and lose them', async () => {
  const root = producer.place.mediaRoot
  expect((await coffer('organisation', 'create', 'shops', '--name', 'Shops Inc.')).stdout).toMatch(
    /slug: +shops\nname: +Shops Inc\.\nmedia roots: +none\n/,
  )
  const roots = async (...args: string[]) => {
    const { stdout } = await coffer('organisation', 'update', 'shops', ...args)
    return /media roots: +(.*)/.exec(stdout)?.[1]
  }
  expect(await roots('--media-root', root, '--media-root', `${root}/b`)).toBe(`${root}, ${root}/b`)
  expect(await roots('--name', 'Shops')).toBe(`${root}, ${root}/b`)
  expect(await roots('--all-media-roots')).toBe('all')
  expect(await roots('--no-media-roots')).toBe('none')
  expect(await coffer('organisation', 'update', 'shops')).toMatchObject({ code: 2 })
  expect(await coffer('organisation', 'update', 'shops', '--media-root', '/')).toMatchObject({ code: 5 })
  expect((await coffer('organisation', 'list')).stdout).toMatch(/SLUG +NAME +MEDIA ROOTS +UUID\ndefault +Default +all /)
  expect(await coffer('app', 'create', 'of-shops', '--organisation', 'shops')).toMatchObject({ code: 0 })
})

test('the audit log tells who did what, and can be asked for less', async () => {
  await coffer('app', 'create', 'audited')
  await coffer('app', 'create', 'audited')
  const { stdout } = await coffer('audit', '--action', 'applications', '--limit', '2')
  expect(stdout).toMatch(
    /^TIME +TOKEN +FROM +WHAT +OUTCOME +ABOUT\n\S+ \S+Z +bootstrap admin +127\.0\.0\.1 +POST \/apps\/v3\/applications\/ +409 CONFLICT\n.*201 +[0-9a-f-]{36}\n$/,
  )
  const lines = await json<{ status: number; changes: object }[]>('audit', '--actor', 'bootstrap admin', '--limit', '1')
  expect(lines.map(({ status, changes }) => [status, changes])).toEqual([[409, {}]])
  expect(await json('audit', '--until', '2020-01-01T00:00:00Z')).toEqual([])
})

test('the newest good backup of an environment is told, or why there is none', async () => {
  await coffer('app', 'create', 'late')
  const { uuid } = await json<{ uuid: string }>('environment', 'create', 'late/live')
  const input = 'postgres://u:p@127.0.0.1/a'
  const { url } = producer
  await runHere(['service', 'create', 'late/live', '--type', 'DATABASE', '--url-stdin'], {
    url,
    token: producer.place.adminToken,
    input,
  })
  expect(await coffer('latest', 'late/live')).toMatchObject({
    code: 4,
    stderr: expect.stringContaining('no good backup') as string,
  })
  const [backup = ''] = await plantBackups(producer.catalog, uuid, [3])
  expect((await coffer('latest', 'late/live')).stdout).toMatch(
    new RegExp(`^${backup}\\nSERVICE +TIME +SIZE +BACKUP\\nDATABASE:DEFAULT +\\S+ \\S+Z +- +${backup}\\n$`),
  )
  expect(await json('latest', 'late/live')).toMatchObject({ backup, service_instances: [{ backup }] })
})
