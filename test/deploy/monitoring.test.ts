import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestProducer, type TestProducer } from '../support/producer.ts'
import { findPromtool, type Promtool } from '../support/promtool.ts'

const DEPLOY = join(import.meta.dirname, '../../deploy')
const run = promisify(execFile)

let promtool: Promtool | null
let producer: TestProducer
beforeAll(async () => {
  promtool = await findPromtool()
  producer = await startTestProducer()
})
afterAll(async () => {
  await promtool?.[Symbol.asyncDispose]()
  await producer[Symbol.asyncDispose]()
})

const scrape = async () => (await producer.ask('GET', '/metrics')).text

test.for([
  ['check', 'rules', 'coffer-alerts.yml'],
  ['test', 'rules', 'coffer-alerts.test.yml'],
  ['check', 'config', '--syntax-only', 'prometheus.yml'],
])('promtool %s', async (args, { skip }) => {
  if (promtool === null) return skip('promtool is not here, and only root on Debian can fetch it')
  const { stdout } = await run(promtool.path, args, { cwd: DEPLOY })
  expect(stdout).toContain('SUCCESS')
})

test('promtool finds nothing to say against the metrics', async ({ skip }) => {
  if (promtool === null) return skip('promtool is not here, and only root on Debian can fetch it')
  await seed(producer)
  // What Node's own collectors are called is not ours to choose.
  const ours = (await scrape()).split('\n').filter((line) => /^(# \w+ )?coffer_/.test(line))
  expect(ours.length).toBeGreaterThan(20)
  const checked = run(promtool.path, ['check', 'metrics'])
  checked.child.stdin?.end(`${ours.join('\n')}\n`)
  const { stderr, stdout } = await checked
  expect(`${stdout}${stderr}`).toBe('')
})

test('every metric that the rules and the dashboard name is one that a scrape shows', async () => {
  await seed(producer)
  const shown = new Set([...(await scrape()).matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name))
  const texts = [await readFile(join(DEPLOY, 'coffer-alerts.yml'), 'utf8'), await expressionsOfDashboard()]
  const named = texts.flatMap((text) => [...text.matchAll(/\b(?:coffer|nodejs)_[a-z0-9_]+/g)].map(([name]) => name))
  expect(named.length).toBeGreaterThan(15)
  expect(named.filter((name) => !shown.has(name))).toEqual([])
})

async function expressionsOfDashboard(): Promise<string> {
  const { panels } = JSON.parse(await readFile(join(DEPLOY, 'grafana-dashboard.json'), 'utf8')) as {
    panels: { targets: { expr: string }[] }[]
  }
  return panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)).join('\n')
}

async function seed(producer: TestProducer): Promise<void> {
  const post = async (resource: string, body: unknown) =>
    (await producer.ask('POST', `/apps/v3/${resource}/`, { body })).body.uuid
  const application = await post('applications', { slug: `shop-${Math.floor(performance.now())}` })
  const environment = await post('environments', { application, slug: 'live' })
  await post('service-instances', {
    environment,
    type: 'STORAGE',
    connection: { url: `file://${producer.place.mediaRoot}/shop` },
  })
}
