import { afterAll, beforeAll, expect, test } from 'vitest'
import { plantBackups } from '../support/planted-backups.ts'
import { startTestProducer, type TestProducer } from '../support/producer.ts'
import { coffer as runHere } from './support.ts'

// The command against a real producer.

let producer: TestProducer
let environment: string
let older: string
let newest: string

beforeAll(async () => {
  producer = await startTestProducer()
  const made = async (resource: string, body: unknown) =>
    (await producer.ask('POST', `/apps/v3/${resource}/`, { body })).body.uuid
  const application = await made('applications', { slug: 'shop' })
  environment = await made('environments', { application, slug: 'live' })
  const connection = { url: 'postgres://u:p@127.0.0.1/a' }
  await made('service-instances', { environment, type: 'DATABASE', connection })
  const [first = '', second = ''] = await plantBackups(producer.catalog, environment, [9, 8])
  older = first
  newest = second
})
afterAll(() => producer[Symbol.asyncDispose]())

const coffer = (args: readonly string[]) => runHere(args, { url: producer.url, token: producer.place.adminToken })

test('a hold is shown until it is released, and refuses deletion', async () => {
  const held = await coffer(['backup', 'hold', older, '--reason', 'an audit'])
  expect(held).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/held: +an audit \(bootstrap admin, /) as string,
  })
  expect(await coffer(['backup', 'delete', older, '--reason', 'space'])).toMatchObject({
    code: 5,
    stderr: expect.stringMatching(/is held since .*an audit\nremedy: release the hold/) as string,
  })
  expect((await coffer(['backup', 'release', older])).stdout).not.toContain('held')
})

test('the size of a backup is acknowledged', async () => {
  expect(await coffer(['backup', 'acknowledge', older])).toMatchObject({ code: 0 })
})

test('a deletion says until when it can be undone, and the newest good one needs force', async () => {
  const deleted = await coffer(['backup', 'delete', older, '--reason', 'space'])
  expect(deleted.code).toBe(0)
  expect(deleted.stderr).toMatch(new RegExp(`^it goes after .*Z; until then: coffer backup undelete ${older}\n$`))
  expect(deleted.stdout).toMatch(/is deleted: +after /)
  expect((await coffer(['backup', 'undelete', older])).stdout).not.toContain('is deleted')
  expect(await coffer(['backup', 'delete', newest, '--reason', 'space'])).toMatchObject({ code: 5 })
  expect(await coffer(['backup', 'delete', newest, '--reason', 'space', '--force'])).toMatchObject({ code: 0 })
  expect(await coffer(['backup', 'undelete', newest])).toMatchObject({ code: 0 })
})

test('a deletion date and notes are given and taken away', async () => {
  const dated = await coffer([
    'backup',
    'update',
    older,
    '--delete-at',
    '2199-01-31T12:00:00+01:00',
    '--notes',
    'so long',
  ])
  expect(dated.stdout).toMatch(/notes: +so long\ndeletion date: +2199-01-31 11:00:00Z/)
  expect((await coffer(['backup', 'update', older, '--delete-at', 'never'])).stdout).not.toContain('deletion date')
  expect(await coffer(['backup', 'update', older, '--delete-at', 'tomorrow'])).toMatchObject({ code: 2 })
})

test('a preview shows what is kept, why and until when, and what there is in the end', async () => {
  const preview = await coffer(['retention', 'preview', 'shop/live'])
  expect(preview).toMatchObject({ code: 0, stderr: '' })
  const [service, head, first, second, end, ...rest] = preview.stdout.trimEnd().split('\n')
  expect([service, end, rest]).toEqual(['DATABASE DEFAULT', 'after 400 days: 7 daily, 4 weekly, 12 monthly', []])
  expect(head).toMatch(/^BACKUP OF +LABEL +STANDING +GOES +WHY +UUID$/)
  for (const [line, uuid] of [
    [first, newest],
    [second, older],
  ])
    expect(line).toMatch(
      new RegExp(
        `Z +daily +good +(\\d{4}-.*Z|in 400 days or later) +It becomes the daily backup of .* +${uuid ?? ''}$`,
      ),
    )
  const end10 = await coffer(['retention', 'preview', 'shop/live', '--plan', 'none', '--days', '10'])
  expect(end10.stdout).toMatch(new RegExp(`after 10 days: 2 daily\nBACKUP OF[^]*daily +It is the daily.* ${newest}\n`))
  const { service_instances: instances } = JSON.parse(
    (await coffer(['retention', 'preview', 'shop/live', '--json', '--days', '0'])).stdout,
  ) as { service_instances: { today: object[] }[] }
  expect(instances[0]?.today[0]).toMatchObject({ backup: newest, action: 'keep', label: 'daily', rule: 'tier' })
})

test('status says who is overdue and since when, and what needs attention', async () => {
  const calm = await coffer(['status'])
  expect(calm.stdout).toMatch(/no open alerts\nQUEUE +WAITING +RUNNING +FAILED\ndump /)
  await producer.catalog.query(
    `INSERT INTO alerts (kind, subject, environment_id, message, raised_at) VALUES ('missed', 's', $1, 'nobody came', now())`,
    [environment],
  )
  await producer.ask('PATCH', `/apps/v3/plans/default/`, { body: { expected_within_hours: 24 } })
  const { stdout } = await coffer(['status'])
  expect(stdout).toMatch(
    /1 environment overdue:\nENVIRONMENT +SINCE +LAST GOOD BACKUP\nshop\/live +\S+ \S+Z +\S+ \S+Z\n/,
  )
  expect(stdout).toMatch(/1 open alert:\nALERT +SINCE +WHAT\nmissed +\S+ \S+Z +nobody came\n/)
})

test('resume-pruning is refused while nothing has stopped it', async () => {
  expect(await coffer(['environment', 'resume-pruning', 'shop/live'])).toMatchObject({ code: 5 })
  await producer.catalog.query(
    `UPDATE environments SET pruning_stopped_at = now(), pruning_stopped_reason = 'the clock has jumped' WHERE id = $1`,
    [environment],
  )
  expect((await coffer(['environment', 'show', 'shop/live'])).stdout).toMatch(/pruning stopped: +the clock has jumped/)
  expect((await coffer(['environment', 'resume-pruning', 'shop/live'])).stdout).not.toContain('stopped')
})
