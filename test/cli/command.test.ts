import { once } from 'node:events'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { until } from '../support/until.ts'
import { coffer, deadUrl, serve, startCoffer, temporaryFolder, TOKEN } from './support.ts'

const BACKUP = '00000000-0000-4000-8000-000000000001'
const PART = '00000000-0000-4000-8000-000000000002'

const json = (response: ServerResponse, body: unknown) => response.end(JSON.stringify(body))
const page = (...results: unknown[]) => ({ count: results.length, next: null, previous: null, results })

function refuse(response: ServerResponse, status: number, code: string, more: object = {}) {
  const problem = {
    type: 'about:blank',
    title: code,
    status,
    code,
    detail: `it is ${code}`,
    remedy: 'do this',
    ...more,
  }
  response.writeHead(status, { 'content-type': 'application/problem+json' }).end(JSON.stringify(problem))
}

/** A backup that hangs at RUNNING for ever. */
function answerForEver(request: IncomingMessage, response: ServerResponse) {
  const backup = { uuid: BACKUP, environment: 'e', state: 'RUNNING', success: null, trigger: 'MANUAL', notes: '' }
  const part = { uuid: PART, backup: BACKUP, service_instance: 's', service_type: 'DATABASE', prefix: 'DEFAULT' }
  const run = { state: 'RUNNING', success: null, attempt: 1, errors: [], warnings: [] }
  if (request.url?.startsWith('/apps/v3/service-instance-backups/')) json(response, page({ ...part, ...run }))
  else json(response, { ...backup, service_instance_backups: [PART], created_at: '2026-01-01T00:00:00Z' })
}

describe('wrong usage ends with 2, says what is wrong, and asks no producer', () => {
  test.each([
    [['app', 'lits'], /unknown command 'lits' \(Did you mean list\?\)/],
    [['backup', 'create'], /missing required argument 'app\/env'/],
    [['backup', 'create', 'shop/live', '--timeout', '5', '--wait'], /"5" is no duration/],
    [['backup', 'create', 'shop/live', '--timeout', '5s'], /--timeout bounds a wait: give --wait/],
    [['backup', 'create', 'shop'], /"shop" names no environment/],
    [['backup', 'list', '--limit', '0'], /whole number from 1/],
    [['backup', 'show', BACKUP, '--nonsense'], /unknown option '--nonsense'/],
    [['service', 'create', 'shop/live', '--type', 'CACHE'], /Allowed choices are DATABASE, STORAGE/],
    [['service', 'create', 'shop/live', '--type', 'DATABASE'], /no address: give --url-stdin, --url-file or --url/],
    [
      ['service', 'create', 'shop/live', '--type', 'STORAGE', '--url-file', 'missing'],
      /cannot read the address: .*missing/,
    ],
    [['service', 'create', 'shop/live', '--type', 'STORAGE', '--url-stdin'], /stdin holds no address/],
    [['service', 'update', 'shop/live:X', '--url', 'a', '--url-stdin'], /cannot be used with/],
    [['app', 'update', 'shop'], /nothing to change: give --slug or --name/],
    [['restore', BACKUP], /required option '--to <target>' not specified/],
    [['restore', 'list', '--wait'], /coffer restore list takes no --wait/],
    [['verify', 'list', 'shop/live', '--wait'], /coffer verify list takes no --wait/],
    [['restore', 'undo', BACKUP, '--wait', '--table', 'a.b'], /coffer restore undo takes no --table/],
    [['restore', 'show', BACKUP, '--no-safety-backup'], /coffer restore show takes no --no-safety-backup/],
  ])('%j', async (args, message) => {
    const { code, stdout, stderr } = await coffer(args, { url: await deadUrl() })
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(message)
    expect(stderr).toMatch(/^remedy: run the command with --help/m)
  })

  test('a missing verb shows the verbs', async () => {
    const { code, stderr } = await coffer(['backup'], { url: await deadUrl() })
    expect([code, /Commands:[^]*create[^]*download/.test(stderr)]).toEqual([2, true])
  })

  test('with --json it is a problem document', async () => {
    const { code, stdout, stderr } = await coffer(['backup', '--json'], { url: await deadUrl() })
    expect([code, stdout, JSON.parse(stderr)]).toMatchObject([
      2,
      '',
      { code: 'USAGE_INVALID', detail: 'a command is missing' },
    ])
  })
})

test('help and version need no producer and end with 0', async () => {
  const url = await deadUrl()
  const [help, version] = await Promise.all([coffer(['restore', '--help'], { url }), coffer(['--version'], { url })])
  expect([help.code, version.code, version.stdout]).toEqual([0, 0, '1.2.3\n'])
  expect(help.stdout).toMatch(/--to <target>[^]*--json/)
})

describe('what the producer refuses', () => {
  test.each([
    [400, 'REQUEST_MALFORMED', 2],
    [401, 'UNAUTHENTICATED', 5],
    [403, 'FORBIDDEN', 5],
    [404, 'NOT_FOUND', 4],
    [409, 'CONFLICT', 5],
    [422, 'REQUEST_INVALID', 2],
    [422, 'CONNECTION_REFUSED_BY_POLICY', 5],
    [500, 'INTERNAL', 1],
    [503, 'SERVICE_UNAVAILABLE', 1],
    [418, 'BRAND_NEW', 1],
  ])('%d %s ends with %d', async (status, problem, exit) => {
    const url = await serve((_request, response) => refuse(response, status, problem))
    const { code, stdout, stderr } = await coffer(['backup', 'show', BACKUP], { url })
    expect([code, stdout]).toEqual([exit, ''])
    expect(stderr).toMatch(new RegExp(`^error: .*it is ${problem}$`, 'm'))
  })

  test('is shown with its fields, its remedy and its request id, none of them able to steer the terminal', async () => {
    const more = { errors: [{ field: 'slug', message: 'is \u001b[31mtaken' }], request_id: 'r-1' }
    const url = await serve((_request, response) => refuse(response, 422, 'REQUEST_INVALID', more))
    const { stderr } = await coffer(['app', 'create', 'shop'], { url })
    expect(stderr).toBe('error: it is REQUEST_INVALID\n  slug: is \\u001b[31mtaken\nremedy: do this\nrequest: r-1\n')
  })

  test('is the document itself with --json', async () => {
    const url = await serve((_request, response) => refuse(response, 409, 'CONFLICT', { current: 'RUNNING' }))
    const { code, stdout, stderr } = await coffer(['--json', 'backup', 'retry', BACKUP], { url })
    expect([code, stdout, JSON.parse(stderr)]).toMatchObject([
      5,
      '',
      { code: 'CONFLICT', status: 409, current: 'RUNNING' },
    ])
  })
})

test('a producer that does not run is told with where its address came from', async () => {
  const [dead, cwd] = [await deadUrl(), await temporaryFolder()]
  await mkdir(join(cwd, 'data'))
  await writeFile(join(cwd, 'data/run.json'), JSON.stringify({ url: dead }))
  await writeFile(join(cwd, 'data/admin-token'), TOKEN)
  const { code, stderr } = await startCoffer(['status'], { COFFER_DATA_DIR: 'data' }, cwd).ended
  expect(code).toBe(1)
  expect(stderr).toMatch(
    new RegExp(`${dead} \\(from data/run.json\\): connection refused\nremedy: start it with "npm run up"`),
  )
})

describe('a connection', () => {
  const SECRET = 'postgres://shop:canary-password@db/shop'

  async function registering(args: readonly string[], input: string, cwd: string) {
    const bodies: string[] = []
    const url = await serve((request, response) => {
      void request
        .setEncoding('utf8')
        .toArray()
        .then((body) => {
          if (request.method === 'POST') bodies.push(body.join(''))
          const slug = {
            uuid: PART,
            slug: 's',
            name: 's',
            organisation: 'o',
            application: 'a',
            plan: null,
            timezone: 'UTC',
            store: null,
          }
          if (request.method === 'POST') refuse(response, 422, 'CONNECTION_INVALID')
          else json(response, page(slug))
        })
    })
    const ended = await coffer(['service', 'create', 'shop/live', '--type', 'DATABASE', ...args], { url, cwd, input })
    return {
      ...ended,
      sent: bodies.map((body) => (JSON.parse(body) as { connection: { url: string } }).connection.url),
    }
  }

  test('comes from stdin or a file without its line end, and is in no output', async () => {
    const cwd = await temporaryFolder()
    await writeFile(join(cwd, 'url'), `${SECRET}\n`)
    for (const [args, input] of [
      [['--url-stdin'], `${SECRET}\r\n`],
      [['--url-file', 'url'], ''],
    ] as const) {
      const { code, sent, stdout, stderr } = await registering(args, input, cwd)
      expect([code, sent]).toEqual([2, [SECRET]])
      expect(stdout + stderr).not.toContain('canary')
      expect(stderr).not.toContain('warning')
    }
  })

  test('from --url is warned about', async () => {
    const { sent, stderr } = await registering(['--url', SECRET], '', await temporaryFolder())
    expect([sent, stderr.startsWith('warning: --url can be seen in the list of processes')]).toEqual([[SECRET], true])
  })
})

describe('a wait', () => {
  test('that is too long ends with 6 and says which backup goes on', async () => {
    const url = await serve(answerForEver)
    const { code, stdout, stderr } = await coffer(
      ['backup', 'show', BACKUP, '--wait', '--timeout', '300ms', '--json'],
      { url },
    )
    expect([code, stdout]).toEqual([6, ''])
    expect(JSON.parse(stderr)).toMatchObject({ code: 'WAIT_TIMED_OUT', details: { backup: BACKUP } })
  })

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('ends on %s with %d', async (signal, exit) => {
    const cwd = await temporaryFolder()
    const url = await serve(answerForEver)
    const child = startCoffer(['backup', 'show', BACKUP, '--wait'], { COFFER_URL: url, COFFER_TOKEN: TOKEN }, cwd)
    await once(child.stderr ?? child, 'data')
    child.kill(signal)
    const { code, stderr } = await child.ended
    expect([code, stderr]).toEqual([
      exit,
      'DATABASE DEFAULT  running\ninterrupted; what was begun on the server goes on\n',
    ])
  })
})

test('a download that is interrupted while bytes flow leaves no file', async () => {
  const cwd = await temporaryFolder()
  let flowing = () => undefined as unknown
  const begun = new Promise((resolve) => (flowing = () => resolve(undefined)))
  const url = await serve((request, response) => {
    const sizes = { size: 99, sha256: '0'.repeat(64), stored_size: 1, stored_sha256: '0'.repeat(64) }
    const links = { download_url: '/bytes', filename: 'x.dump', stored_url: '/stored', stored_filename: 'x.dump.age' }
    const item = { ...sizes, ...links, uuid: 'i', service_instance_backup: PART, ended_at: 'now', artifact: 'dump' }
    const run = { state: 'COMPLETED', success: 'SUCCESS', attempt: 1, errors: [], warnings: [] }
    const part = {
      uuid: PART,
      backup: BACKUP,
      service_instance: 's',
      service_type: 'DATABASE',
      prefix: 'DEFAULT',
      ...run,
    }
    if (request.url === '/bytes') response.writeHead(200, { 'content-length': '99' }).write('some', flowing)
    else if (request.url?.includes('download-service')) json(response, page(item))
    else if (request.url?.includes('service-instance-backups')) json(response, page(part))
    else answerForEver(request, response)
  })
  const child = startCoffer(['download', BACKUP], { COFFER_URL: url, COFFER_TOKEN: TOKEN }, cwd)
  await begun
  const kept = await until(async () => {
    const names = await readdir(cwd)
    return names.length > 0 && names
  })
  expect(kept).toEqual([expect.stringMatching(/^\.x\.dump\.[0-9a-f]{12}\.part$/)])
  child.kill('SIGINT')
  expect((await child.ended).code).toBe(130)
  expect(await readdir(cwd)).toEqual([])
})
