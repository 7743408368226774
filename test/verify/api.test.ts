import { afterAll, beforeAll, expect, test } from 'vitest'
import { loadWorkerConfig } from '../../shared/config.ts'
import { systemClock } from '../../shared/clock.ts'
import { openLog } from '../../shared/log.ts'
import { startProducer } from '../../producer/start.ts'
import { loadProducerConfig } from '../../shared/config.ts'
import { coffer as runHere } from '../cli/support.ts'
import { startClockedWorker } from '../support/clocked-worker.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { addSources, drillUrl, fileOf, keyOf, takeBackup } from './sealed.ts'

// The API and the command against a real producer and a real worker, in order.

const TOKEN = 'an-admin-token-of-a-test-0123456789'
const scope = new AsyncDisposableStack()
let coffer: TestCoffer
let url: string
let backup: Awaited<ReturnType<typeof takeBackup>>

beforeAll(async () => {
  coffer = scope.use(await startTestCoffer({ env: { COFFER_DRILL_DATABASE_URL: drillUrl() } }))
  const source = await addSources(coffer)
  scope.defer(() => source.drop())
  backup = await takeBackup(coffer, scope.use(await startClockedWorker(coffer, { now: new Date() })))
  const env = { ...coffer.env, PORT: '0', COFFER_ADMIN_TOKEN: TOKEN }
  expect(loadWorkerConfig(env).COFFER_DRILL_DATABASE_URL).toBe(drillUrl())
  const producer = await startProducer(loadProducerConfig(env), openLog('producer', 'silent'), systemClock)
  scope.defer(() => producer.close())
  ;({ url } = producer)
})
afterAll(() => scope.disposeAsync())

const run = (...args: string[]) => runHere(args, { url, token: TOKEN })

async function ask(method: string, path: string, body?: unknown) {
  const answer = await fetch(`${url}/apps/v3${path}`, {
    method,
    headers: { authorization: `Token ${TOKEN}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return {
    status: answer.status,
    body: (await answer.json()) as Record<string, unknown> & { results: Record<string, unknown>[] },
  }
}

test.each([
  ['nothing', {}, /exactly one of/],
  [
    'two things',
    { backup: '6f1c1a0e-5d0a-4b43-9a37-0f6a5e0d3b11', environment: '6f1c1a0e-5d0a-4b43-9a37-0f6a5e0d3b11' },
    /exactly one of/,
  ],
  [
    'an unknown level',
    { backup: '6f1c1a0e-5d0a-4b43-9a37-0f6a5e0d3b11', level: 'deep' },
    /must be one of metadata, checksum, drill/,
  ],
])('a request that names %s is refused with its field', async (_, body, detail) => {
  const { status, body: problem } = await ask('POST', '/verifications/', body)
  expect([status, problem['code']]).toEqual([422, 'REQUEST_INVALID'])
  expect(problem['detail']).toMatch(detail)
})

test('a verification is asked for, waits for a worker, is listed by its filters, and asked for twice it is one', async () => {
  const first = await ask('POST', '/verifications/', { backup: backup.id })
  expect(first.status).toBe(201)
  expect(first.body.results).toMatchObject([
    {
      service_type: 'DATABASE',
      level: 'checksum',
      state: 'QUEUED',
      outcome: null,
      trigger: 'MANUAL',
      backup: backup.id,
    },
    { service_type: 'STORAGE', level: 'checksum', state: 'QUEUED', service_instance_backup: backup.media.id },
  ])
  const again = await ask('POST', '/verifications/', { service_instance_backup: backup.media.id })
  expect(again.body.results.map(({ uuid }) => uuid)).toEqual([first.body.results[1]?.['uuid']])
  const one = await ask('GET', `/verifications/${String(again.body.results[0]?.['uuid'])}/`)
  expect(one.body).toMatchObject({ prefix: 'DEFAULT', requested_by: expect.any(String) as string })
  for (const [filter, count] of [
    [`service_instance_backup=${backup.media.id}`, 1],
    [`environment=${coffer.environmentId}`, 2],
    ['level=drill', 0],
  ] as const)
    expect((await ask('GET', `/verifications/?${filter}`)).body['count']).toBe(count)
  const running = await coffer.catalog.query(`SELECT 1 FROM service_instance_backups WHERE state = 'RUNNING'`)
  expect(running).toEqual([])
})

test('coffer verify and coffer drill end with 0 when all passed, 3 when something could not be read, 1 when something is corrupt', async () => {
  const worker = await coffer.worker()
  expect(await run('verify', backup.id, '--wait')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/result: +passed[^]*rows: 240/) as string,
  })
  expect(await run('drill', 'shop/live', '--wait')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/left_out/) as string,
  })
  expect((await run('backup', 'show', backup.id)).stdout).toMatch(/restore-proven/)
  expect((await run('verify', 'list', 'shop/live')).stdout).toMatch(/drill +passed +(DATABASE|STORAGE) DEFAULT/)
  expect((await run('verify', 'list', 'shop/live', '--level', 'checksum')).stdout).not.toMatch(/drill/)
  const asked = await run('verify', backup.id, '--level', 'metadata', '--json')
  const [one] = JSON.parse(asked.stdout) as { uuid: string }[]
  expect(await run('verify', 'show', one?.uuid ?? '', '--wait')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/result: +passed/) as string,
  })
  await worker.stop()

  const keyless = await coffer.worker({ env: { COFFER_AGE_IDENTITY_FILE: '' } })
  expect(await run('verify', backup.id, '--wait')).toMatchObject({
    code: 3,
    stdout: expect.stringMatching(/KEY_MISSING/) as string,
  })
  await keyless.stop()

  await coffer.worker()
  await fileOf(coffer, keyOf(backup.media, 'archive')).flip(-50)
  const found = await run('verify', backup.id, '--wait', '--json')
  expect(found.code).toBe(1)
  expect((JSON.parse(found.stdout) as { outcome: string }[]).map(({ outcome }) => outcome)).toEqual([
    'passed',
    'corrupt',
  ])
  expect((await run('backup', 'show', backup.id)).stdout).toMatch(/CORRUPT since/)
  const refused = await run('backup', 'download', backup.id, '--service', 'STORAGE:DEFAULT', '--output', 'out.tar')
  expect([refused.code, refused.stderr]).toEqual([5, expect.stringMatching(/is corrupt/)])
})

test('the dashboard says what is corrupt and what was proven', async () => {
  const login = await fetch(`${url}/login`, {
    method: 'POST',
    redirect: 'manual',
    headers: { origin: url, 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ token: TOKEN }),
  })
  const cookie = login.headers.get('set-cookie')?.split(';')[0] ?? ''
  const page = async () => (await fetch(url, { headers: { cookie } })).text()
  expect(await page()).toMatch(/corrupt/)
  await coffer.catalog.query(
    `UPDATE service_instance_backups SET corrupt_at = NULL, verified_level = 'drill', verified_at = now() - interval '50 hours'`,
  )
  expect(await page()).toContain('restore-proven 2 days ago')
})
