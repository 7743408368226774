import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { pgBinFolders } from '../../scripts/services/binaries.ts'
import { migrate } from '../../shared/catalog/migrate.ts'
import { coffer as command } from '../cli/support.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { createTestDatabase, type TestDatabase } from '../support/databases.ts'
import { fillTable, inDatabase } from '../support/sample-data.ts'
import { until } from '../support/until.ts'
import { startProcess, type CofferProcess } from '../support/worker-process.ts'

const run = promisify(execFile)
const token = randomBytes(32).toString('hex')
const canary = `canary-${randomBytes(12).toString('hex')}`
let coffer: TestCoffer
let source: TestDatabase
let first: { held: string; own: string; later: string }
/** The recovery key, and what was logged while it was made and used. */
let recovery: string
let logs: string

/** Producer and worker on a catalog, and the command that talks to them. */
async function startOn(databaseUrl: string, scope: AsyncDisposableStack) {
  await coffer.redis.flushdb()
  const env = { COFFER_DATABASE_URL: databaseUrl, COFFER_CATALOG_BACKUP: 'on', COFFER_ADMIN_TOKEN: token, PORT: '0' }
  const producer: CofferProcess = scope.use(startProcess('producer/main.ts', { env: { ...coffer.env, ...env } }))
  const url = String((await producer.line(({ msg }) => msg === 'listening'))['url'])
  const worker = scope.use(await coffer.worker({ env: { ...env, COFFER_LOG_LEVEL: 'trace' } }))
  const tell = (args: string, input = '') => command(args.split(' '), { url, token, input, cwd: coffer.folder })
  const json = async (args: string) => JSON.parse((await tell(`${args} --json`)).stdout) as Record<string, unknown>[]
  return { tell, json, output: () => producer.output() + worker.output() }
}

beforeAll(async () => {
  coffer = await startTestCoffer()
  source = await createTestDatabase()
  await fillTable(source.url, 200, 20)
  const media = await coffer.mediaRoot('shop')
  await writeFile(join(media.path, 'a.txt'), 'a file of the shop')
  await coffer.addService('DATABASE', source.url)
  await coffer.addService('STORAGE', media.url)
  await using scope = new AsyncDisposableStack()
  const { tell, output } = await startOn(coffer.env.COFFER_DATABASE_URL ?? '', scope)
  const backup = async (environment: string) => {
    const done = await tell(`backup create ${environment} --wait --json`)
    expect(done.code, done.stderr).toBe(0)
    return (JSON.parse(done.stdout) as { uuid: string }).uuid
  }
  recovery = /AGE-SECRET-KEY-1[0-9A-Z]+/.exec((await tell('keys init')).stdout)?.[0] ?? ''
  const held = await backup('shop/live')
  await tell(`backup hold ${held} --reason audit`)
  // Never backed up: its password must not be readable in the catalog's own dump.
  const dsn = `postgres://user:${canary}@db.example.com/app`
  expect((await tell('environment create shop/secret')).code).toBe(0)
  expect((await tell('service create shop/secret --type DATABASE --url-stdin', dsn)).code).toBe(0)
  const own = await backup('coffer/catalog')
  first = { held, own, later: await backup('shop/live') }
  logs = output()
}, 120_000)

afterAll(async () => {
  await source.drop()
  await coffer[Symbol.asyncDispose]()
})

test('the catalog comes back from its own backup by the commands of the page; what was sealed since is adopted, also that backup itself', async () => {
  await using scope = new AsyncDisposableStack()
  const target = await createTestDatabase()
  scope.defer(() => target.drop())
  const work = join(coffer.folder, 'catalog')
  await mkdir(work)
  const page = await readFile('docs/lost-catalog.md', 'utf8')
  const commands = [...page.matchAll(/^```bash\n(.*?)^```$/gms)].map(([, block]) => block).join('\n')
  await run('bash', ['-c', commands], {
    env: {
      PATH: [pgBinFolders(process.env)[0]?.folder, process.env.PATH].join(':'),
      KEY: join(coffer.folder, 'identity.txt'),
      STORE: join(coffer.folder, 'store'),
      TARGET: target.url,
      WORK: work,
    },
  })
  const dump = await readFile(join(work, 'catalog.dump'), 'latin1')
  expect(dump).toContain(first.held)
  expect(logs).toContain('run sealed')
  const secrets = { canary, token, recovery, identity: coffer.identity, secretKey: coffer.env.COFFER_SECRET_KEY ?? '' }
  for (const [name, secret] of Object.entries(secrets)) {
    expect(secret.length, name).toBeGreaterThan(20)
    expect(dump.includes(secret), `${name} in the dump of the catalog`).toBe(false)
    expect(logs.includes(secret), `${name} in the logs`).toBe(false)
  }

  const { tell, json } = await startOn(target.url, scope)
  // In the copy it was running: it was being taken.
  await until(async () => (await tell(`backup show ${first.own} --json`)).stdout.includes('"success": "SUCCESS"'))
  const rebuilt = await tell('catalog rebuild')
  expect(rebuilt.stdout).toContain('2 added')
  expect(rebuilt.code, rebuilt.stdout).toBe(0)
  const listed = (await json('backup list shop/live')).map(({ uuid }) => uuid)
  expect(listed.toSorted()).toEqual([first.held, first.later].toSorted())
  expect((await tell('backup create shop/live --wait')).code).toBe(0)
}, 120_000)

test('a catalog that was dropped entirely is rebuilt: everything is listed and restorable, the hold is kept, nothing is pruned', async () => {
  await using scope = new AsyncDisposableStack()
  const fresh = await createTestDatabase()
  scope.defer(() => fresh.drop())
  await migrate(fresh.url, () => undefined)
  const { tell, json } = await startOn(fresh.url, scope)
  const rebuilt = await tell('catalog rebuild')
  expect(rebuilt.code, rebuilt.stdout).toBe(0)
  expect(rebuilt.stdout).toContain('coffer environment resume-pruning shop/live')
  const backups = (await json('backup list shop/live')) as { uuid: string; hold: { reason: string } | null }[]
  expect(backups.map(({ uuid }) => uuid)).toEqual(expect.arrayContaining([first.held, first.later]))
  expect(backups.find(({ uuid }) => uuid === first.held)?.hold?.reason).toBe('audit')
  expect((await json('backup list coffer/catalog')).map(({ uuid }) => uuid)).toContain(first.own)
  const reason = 'SELECT pruning_stopped_reason FROM environments WHERE pruning_stopped_at IS NOT NULL'
  expect(await inDatabase(fresh.url, reason)).toHaveLength(2)

  expect((await tell('service list shop/live')).stdout).toContain('CONNECTION_MISSING')
  const refused = await tell('backup create shop/live --wait')
  expect(refused.code).toBe(1)
  expect(refused.stdout + refused.stderr).toContain('coffer service update <service> --url-stdin')

  const again = await createTestDatabase()
  scope.defer(() => again.drop())
  const media = await coffer.mediaRoot(`again-${randomBytes(4).toString('hex')}`)
  await tell('environment create shop/again')
  await tell('service create shop/again --type DATABASE --url-stdin', again.url)
  await tell('service create shop/again --type STORAGE --url-stdin', media.url)
  const restored = await tell(`restore ${first.later} --to shop/again --confirm shop/again --wait`)
  expect(restored.code, restored.stdout + restored.stderr).toBe(0)
  expect(await readFile(join(media.path, 'a.txt'), 'utf8')).toBe('a file of the shop')

  await tell('service update shop/live:DATABASE:DEFAULT --url-stdin', source.url)
  await tell('service update shop/live:STORAGE:DEFAULT --url-stdin', (await coffer.mediaRoot('shop')).url)
  expect((await tell('backup create shop/live --wait')).code).toBe(0)
}, 120_000)
