import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { plantBackups } from '../support/planted-backups.ts'
import { startTestProducer, type TestProducer } from '../support/producer.ts'
import { coffer as runHere, temporaryFolder } from './support.ts'

// The command against a real producer.

let producer: TestProducer
let cwd: string

beforeAll(async () => {
  producer = await startTestProducer()
  const made = async (resource: string, body: unknown) =>
    (await producer.ask('POST', `/apps/v3/${resource}/`, { body })).body.uuid
  const application = await made('applications', { slug: 'shop' })
  const plan = await made('plans', { slug: 'used' })
  const environment = await made('environments', { application, slug: 'live', plan })
  const connection = { url: 'postgres://u:p@127.0.0.1/a' }
  await made('service-instances', { environment, type: 'DATABASE', connection })
  await plantBackups(producer.catalog, environment, [0, 1, 2])
})
afterAll(() => producer[Symbol.asyncDispose]())
beforeEach(async () => {
  cwd = await temporaryFolder()
})

const coffer = (args: readonly string[], { input = '', isTTY = false } = {}) =>
  runHere(args, { url: producer.url, token: producer.place.adminToken, cwd, input, isTTY })

const planOf = async (slug: string) => (await producer.ask('GET', `/apps/v3/plans/?slug=${slug}`)).body.results[0]

test('a plan is made, shown, listed, changed and deleted', async () => {
  const options = ['--schedule', 'night=daily 01:00-05:00', '--keep', 'day=14,month=6', '--on-demand', '10/2']
  const made = await coffer(['plan', 'create', 'own', '--name', 'My own', '--expected-within', '30', ...options])
  expect(made).toMatchObject({ code: 0, stderr: '' })
  expect(made.stdout).toContain('night: daily 01:00-05:00')
  expect(made.stdout).toMatch(/scheduled ones: +14 daily, 6 monthly/)
  expect(made.stdout).toMatch(/on-demand ones: +all of 10 days, then the 2 newest good/)
  expect(made.stdout).toMatch(/expected within: +30 hours/)
  const rules = ['--schedule', 'a=weekly monday 22:00-23:00', '--schedule', 'b=cron 0 */6 * * *']
  expect((await coffer(['plan', 'update', 'own', ...rules])).stdout).toMatch(/a: weekly monday 22:00-23:00\n +b: cron/)
  expect((await coffer(['plan', 'update', 'own', '--keep', 'day=20'])).stdout).toMatch(/20 daily[^]*all of 10 days/)
  expect((await coffer(['plan', 'update', 'own', '--no-schedule'])).stdout).toContain('no schedules')
  expect((await coffer(['plan', 'list'])).stdout).toMatch(
    /default +nightly: daily 01:00-05:00 +7 daily, 4 weekly, 12 monthly/,
  )
  expect((await coffer(['plan', 'show', 'own', '--json'])).stdout).toContain('"slug": "own"')
  expect(await coffer(['plan', 'delete', 'own'])).toMatchObject({ code: 0, stdout: 'plan own is deleted\n' })
  expect(await coffer(['plan', 'show', 'own'])).toMatchObject({ code: 4 })
  expect(await coffer(['plan', 'delete', 'used'])).toMatchObject({ code: 5 })
})

test.each([
  [['plan', 'create', 'x', '--schedule', 'nightly'], /write NAME=daily/],
  [['plan', 'create', 'x', '--keep', 'day=-7'], /day=7,week=4/],
  [['plan', 'create', 'x', '--keep', 'day=7,day=7'], /label daily is used twice/],
  [['plan', 'create', 'x', '--keep', 'month=7,day=7'], /day is not coarser than month/],
  [['plan', 'create', 'x', '--on-demand', '30'], /DAYS\/COUNT/],
  [['plan', 'create', 'x', '--expected-within', '0'], /hours from 1/],
  [['plan', 'create', 'x', '--schedule', 'n=cron 99 * * * *'], /schedules\.0\.cron/],
  [['plan', 'update', 'used'], /nothing to change/],
  [['environment', 'update', 'shop/live'], /nothing to change: give --slug or --timezone or --plan/],
  [['retention', 'preview', 'shop/live', '--days', '-3'], /number of days/],
  [['apply'], /required option '-f, --file <file>'/],
  [['backup', 'hold', 'x'], /required option '--reason <text>'/],
  [['backup', 'update', 'x'], /nothing to change: give --notes or --delete-at/],
])('%j ends with 2 and says why', async (args, message) => {
  const { code, stdout, stderr } = await coffer(args)
  expect([code, stdout]).toEqual([2, ''])
  expect(stderr).toMatch(message)
})

describe('a change that would delete more', () => {
  const args = ['plan', 'update', 'used', '--keep', 'day=1']
  const tiers = async () =>
    ((await planOf('used'))?.['retention'] as { scheduled: { tiers: unknown[] } }).scheduled.tiers

  test('is refused with 5, shows what would go, and names the digest', async () => {
    const { code, stdout, stderr } = await coffer(args)
    expect([code, stdout]).toEqual([5, ''])
    expect(stderr).toMatch(
      /WHY IT WOULD GO\n.*DATABASE DEFAULT.*Newer ones take all places[^]*--confirm [0-9a-f]{64}\n/,
    )
    expect(await tiers()).toHaveLength(3)
    const { digest, would_delete: going } = JSON.parse((await coffer([...args, '--json'])).stderr) as {
      digest: string
      would_delete: unknown[]
    }
    expect(stderr).toContain(digest)
    expect(going).toHaveLength(2)
  })

  test('stays undone when the person says no, or something else', async () => {
    for (const input of ['n\n', 'what?\n', ''])
      expect(await coffer(args, { input, isTTY: true })).toMatchObject({ code: 5 })
    expect(await tiers()).toHaveLength(3)
  })

  test('is done with its digest, and when the person says yes', async () => {
    const { stderr } = await coffer(args)
    const digest = /--confirm ([0-9a-f]{64})/.exec(stderr)?.[1] ?? ''
    expect(await coffer([...args, '--confirm', '0'.repeat(64)])).toMatchObject({ code: 5 })
    expect(await coffer([...args, '--confirm', digest])).toMatchObject({ code: 0 })
    expect(await tiers()).toHaveLength(1)
    expect(await coffer(['plan', 'update', 'used', '--keep', 'day=7,week=4,month=12'])).toMatchObject({ code: 0 })
    expect(await coffer(args, { input: 'y\n', isTTY: true })).toMatchObject({ code: 0 })
    expect(await tiers()).toHaveLength(1)
    await coffer(['plan', 'update', 'used', '--keep', 'day=7,week=4,month=12'])
  })

  test('of an environment is confirmed the same way', async () => {
    await coffer(['plan', 'create', 'strict', '--keep', 'day=1'])
    const change = ['environment', 'update', 'shop/live', '--plan', 'strict']
    expect(await coffer(change)).toMatchObject({ code: 5 })
    expect((await coffer(['environment', 'show', 'shop/live'])).stdout).toMatch(/plan: +used/)
    expect((await coffer(change, { input: 'yes\n', isTTY: true })).stdout).toMatch(/plan: +strict/)
    expect(await coffer(['environment', 'update', 'shop/live', '--plan', 'used'])).toMatchObject({ code: 0 })
  })
})

describe('apply', () => {
  const FILE = `
plans:
  - slug: from-file
    schedules:
      - { name: night, kind: daily, from: 01:00, until: 05:00 }
    retention:
      scheduled: { tiers: [{ label: daily, per: day, keep: 7 }] }
      on_demand: { keep_days: 30, keep_newest: 3 }
      safety: { keep_days: 7, keep_newest: 1 }
  - { slug: bare }
`
  const apply = async (content: string, more: readonly string[] = [], options = {}) => {
    await writeFile(join(cwd, 'plans.yaml'), content)
    return coffer(['apply', '-f', 'plans.yaml', ...more], options)
  }

  test('shows the difference first, changes nothing without a yes, and has nothing to do a second time', async () => {
    for (const options of [{}, { input: 'n\n', isTTY: true }]) {
      const refused = await apply(FILE, [], options)
      expect(refused).toMatchObject({ code: 5, stdout: '' })
      expect(refused.stderr).toMatch(/plan from-file \(new\)\n[^]*schedules\.night\.from: none -> "01:00"/)
      expect(refused.stderr).toContain('nothing was changed')
      expect(await planOf('from-file')).toBeUndefined()
    }
    expect(await apply(FILE, ['--yes'])).toMatchObject({ code: 0, stdout: '2 plans applied\n' })
    expect(await apply(FILE)).toMatchObject({
      code: 0,
      stdout: 'nothing to do: the plans are as the file says\n',
      stderr: '',
    })
    const changed = FILE.replace('keep: 7 }', 'keep: 9 }').replace('- { slug: bare }', '- { slug: bare, name: Bare }')
    const second = await apply(changed, [], { input: 'y\n', isTTY: true })
    expect(second).toMatchObject({ code: 0, stdout: '2 plans applied\n' })
    expect(second.stderr).toMatch(
      /plan from-file\n {2}retention\.scheduled\.tiers\.daily\.keep: 7 -> 9\nplan bare\n {2}name: "bare" -> "Bare"\n/,
    )
    expect(JSON.parse((await apply(FILE, ['--yes', '--json'])).stdout)).toEqual([
      { slug: 'from-file', is_new: false, differences: ['retention.scheduled.tiers.daily.keep: 9 -> 7'] },
      { slug: 'bare', is_new: false, differences: ['name: "Bare" -> "bare"'] },
    ])
  })

  test('also from stdin', async () => {
    const input = '{"plans": [{"slug": "from-stdin"}]}'
    expect(await coffer(['apply', '-f', '-', '--yes'], { input })).toMatchObject({ code: 0 })
    expect(await planOf('from-stdin')).toMatchObject({ slug: 'from-stdin' })
  })

  test('lets backups go only when that is confirmed, too', async () => {
    const strict = `plans: [{slug: used, retention: {scheduled: {tiers: [{label: daily, per: day, keep: 1}]},
      on_demand: {keep_days: 30, keep_newest: 3}, safety: {keep_days: 7, keep_newest: 1}}}]`
    const refused = await apply(strict, ['--yes'])
    expect(refused).toMatchObject({ code: 5, stdout: '' })
    expect(await planOf('used')).toMatchObject({ retention: { scheduled: { tiers: { length: 3 } } } })
    const digest = /--confirm ([0-9a-f]{64})/.exec(refused.stderr)?.[1] ?? ''
    expect(await apply(strict, ['--yes', '--confirm', digest])).toMatchObject({ code: 0 })
    await coffer(['plan', 'update', 'used', '--keep', 'day=7,week=4,month=12'])
  })

  test.each([
    ['plans: [{slug: a}, {slug: a}]', /plans\.1\.slug: the plan a is there twice/],
    ['plans: [{slug: a, retension: {}}]', /plans\.0\.retension: is not known here/],
    [
      'plans: [{slug: a, schedules: [{name: n, kind: daily, from: 1:00, until: 05:00}]}]',
      /plans\.0\.schedules\.0\.from/,
    ],
    ['plans: [{slug: a, schedules: [{name: n, kind: cron, cron: 0 0 30 2 *}]}]', /plans\.0\.schedules\.0\.cron: never/],
    ['plan: []', /plan: is not known here; plans: must be a list|plans: must be a list of plans; plan: is not known/],
    ['', /the file: |plans: /],
    ['plans: [', /is no YAML/],
    ['plans: []\nplans: []', /is no YAML: Map keys must be unique/],
    [
      'a: &a [x, x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\nplans: [*c, *c, *c, *c, *c, *c, *c, *c]',
      /is no YAML|excessive/i,
    ],
  ])('refuses %j and asks no producer', async (content, message) => {
    const { code, stdout, stderr } = await apply(content, ['--yes'])
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(message)
    expect(await planOf('a')).toBeUndefined()
  })

  test('says which file cannot be read', async () => {
    expect((await coffer(['apply', '-f', 'missing.yaml'])).stderr).toMatch(/cannot read the plans: .*missing\.yaml/)
  })
})
