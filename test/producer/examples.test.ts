import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { EXAMPLE_IDS, EXAMPLE_KEY, EXAMPLES } from '../../producer/examples.ts'
import { openStore } from '../../shared/storage/open-store.ts'
import { expectDeclared, ROUTES } from '../support/answers.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { createTestDatabase } from '../support/databases.ts'
import { startHttpReceiver } from '../support/http-receiver.ts'
import type { Answer } from '../support/producer.ts'
import { fillTable } from '../support/sample-data.ts'
import { until } from '../support/until.ts'
import { startProducerOf, type CofferProducer } from '../support/uploads.ts'

/** What can only be done in a state that these steps don't bring about: refused as the document says. */
const REFUSED: Record<string, string> = {
  'POST /apps/v3/environments/:uuid/resume-pruning/': 'CONFLICT',
  'POST /apps/v3/backups/:uuid/accept/': 'CONFLICT',
  'POST /apps/v3/backup-restores/:uuid/cancel/': 'CONFLICT',
}

/** Does what the examples say, with what there really is for what they only name. */
class Examples {
  readonly done = new Set<string>()
  private readonly real = new Map<string, string>()
  private readonly producer: CofferProducer

  constructor(producer: CofferProducer) {
    this.producer = producer
  }

  know(named: string, real: string): void {
    this.real.set(named, real)
  }

  /** @param id in the path, as it really is */
  async send(name: string, id = ''): Promise<Answer> {
    const [method = '', path = ''] = name.split(' ')
    const text = [...this.real].reduce(
      (json, [named, real]) => json.replaceAll(named, real),
      JSON.stringify(EXAMPLES[name] ?? {}),
    )
    const answer = await this.producer.ask(method, path.replace(/:\w+/, id), { ...(EXAMPLES[name] && { body: text }) })
    expectDeclared({ method: method as 'GET', path }, answer)
    expect(answer.status < 300 ? undefined : answer.body['code'], `${name}: ${answer.text}`).toBe(REFUSED[name])
    this.done.add(name)
    return answer
  }

  async make(name: string, of: keyof typeof EXAMPLE_IDS): Promise<string> {
    const { uuid } = (await this.send(name)).body
    this.know(EXAMPLE_IDS[of], uuid)
    return uuid
  }

  async ended(path: string, id: string, isOver: (answer: Answer) => boolean): Promise<Answer> {
    return until(async () => {
      const answer = await this.send(`GET ${path}`, id)
      return isOver(answer) && answer
    })
  }
}

async function readyTargets(coffer: TestCoffer, examples: Examples): Promise<void> {
  const source = await createTestDatabase()
  await fillTable(source.url, 10)
  examples.know('postgres://shop:secret@db.example.com:5432/shop', source.url)
  const folder = join(coffer.folder, 'cold')
  await mkdir(folder)
  const cold = openStore(pathToFileURL(folder).href)
  await cold.prepare()
  cold.close()
  examples.know('s3://backups?endpoint=https://s3.example.com&region=eu', pathToFileURL(folder).href)
  // The examples make the first application of this name.
  await coffer.catalog.query(`UPDATE applications SET slug = 'other'`)
}

test('every example does what it says, and every answer is what its route declares', async () => {
  await using coffer = await startTestCoffer()
  await using receiver = await startHttpReceiver()
  await using producer = await startProducerOf(coffer, { env: { COFFER_EGRESS_ALLOW: '127.0.0.1' } })
  const examples = new Examples(producer)
  await readyTargets(coffer, examples)
  examples.know('https://chat.example.com/hook', receiver.url)

  const organisation = await examples.make('POST /apps/v3/organisations/', 'organisation')
  await examples.send('PATCH /apps/v3/organisations/:uuid/', organisation)
  const application = await examples.make('POST /apps/v3/applications/', 'application')
  await examples.send('PATCH /apps/v3/applications/:uuid/', application)
  const plan = await examples.make('POST /apps/v3/plans/', 'plan')
  await examples.send('PATCH /apps/v3/plans/:uuid/', plan)
  const environment = await examples.make('POST /apps/v3/environments/', 'environment')
  await examples.send('PATCH /apps/v3/environments/:uuid/', environment)
  await examples.send('POST /apps/v3/environments/:uuid/resume-pruning/', environment)
  const service = await examples.make('POST /apps/v3/service-instances/', 'service_instance')
  await examples.send('PATCH /apps/v3/service-instances/:uuid/', service)
  const cold = await examples.make('POST /apps/v3/stores/', 'store')
  await examples.send('POST /apps/v3/stores/:uuid/check/', cold)
  await examples.send('POST /apps/v3/catalog/rebuild/')
  const { uuid: token } = (await examples.send('POST /apps/v3/tokens/')).body
  const { uuid: sink } = (await examples.send('POST /apps/v3/notification-sinks/')).body
  await examples.send('PATCH /apps/v3/notification-sinks/:uuid/', sink)
  await examples.send('POST /apps/v3/notification-sinks/:uuid/test/', sink)
  expect(receiver.received).toHaveLength(1)

  const waiting = (await examples.send('POST /apps/v3/backups/')).body.uuid
  await examples.send('POST /apps/v3/backups/:uuid/cancel/', waiting)
  await examples.send('POST /apps/v3/backups/:uuid/retry/', waiting)
  await examples.send('POST /apps/v3/backups/:uuid/cancel/', waiting)
  await examples.send('POST /apps/v3/backups/upload/')

  await coffer.worker()
  const backup = await examples.make('POST /apps/v3/backups/', 'backup')
  const ended = await examples.ended('/apps/v3/backups/:uuid/', backup, ({ body }) => body['state'] === 'COMPLETED')
  expect(ended.body['success'], ended.text).toBe('SUCCESS')
  const [part = ''] = ended.body.service_instance_backups
  examples.know(EXAMPLE_IDS.service_instance_backup, part)
  await examples.send('PATCH /apps/v3/backups/:uuid/', backup)
  for (const verb of ['hold', 'release', 'acknowledge', 'accept'])
    await examples.send(`POST /apps/v3/backups/:uuid/${verb}/`, backup)
  const verified = (await examples.send('POST /apps/v3/verifications/')).body.results[0]?.uuid ?? ''
  await examples.ended('/apps/v3/verifications/:uuid/', verified, ({ body }) => body['state'] === 'COMPLETED')
  const download = (await examples.send('POST /apps/v3/backup-downloads/')).body.uuid
  const item = (await examples.send('GET /apps/v3/backup-download-service-instances/')).body.results[0]?.uuid ?? ''

  for (const verb of ['undo', 'confirm']) {
    const restore = (await examples.send('POST /apps/v3/backup-restores/')).body.uuid
    const over = await examples.ended(
      '/apps/v3/backup-restores/:uuid/',
      restore,
      ({ body }) => body['finished'] === true,
    )
    expect(over.body['success'], over.text).toBe('SUCCESS')
    await examples.send('POST /apps/v3/backup-restores/:uuid/cancel/', restore)
    await examples.send(`POST /apps/v3/backup-restores/:uuid/${verb}/`, restore)
    await examples.ended('/apps/v3/backup-restores/:uuid/', restore, ({ body }) => body['finished'] === true)
  }
  await examples.send('POST /apps/v3/backups/:uuid/delete/', backup)
  await examples.send('POST /apps/v3/backups/:uuid/undelete/', backup)
  await examples.send('POST /apps/v3/keys/')
  await examples.send('POST /apps/v3/keys/:recipient/retire/', EXAMPLE_KEY)

  // Of each list and each view, one that shows what was made.
  const idOf: Record<string, string> = {
    environments: environment,
    applications: application,
    plans: plan,
    organisations: organisation,
  }
  Object.assign(idOf, {
    'service-instances': service,
    tokens: token,
    'notification-sinks': sink,
    backups: backup,
    keys: EXAMPLE_KEY,
  })
  Object.assign(idOf, {
    'service-instance-backups': part,
    'backup-download-service-instances': item,
    'backup-downloads': download,
  })
  const left = ROUTES.filter(
    ({ method, path, answers }) => !examples.done.has(`${method} ${path}`) && answers !== 'events',
  )
  expect(left.filter(({ method }) => method !== 'GET' && method !== 'DELETE')).toEqual([])
  for (const { path, method } of left.filter(({ method, query }) => method === 'GET' && query?.['days'] === undefined))
    await examples.send(`${method} ${path}`, idOf[path.split('/')[3] ?? ''])
  const preview = await producer.ask('GET', `/apps/v3/retention-preview/?environment=${environment}&days=3`)
  expectDeclared({ method: 'GET', path: '/apps/v3/retention-preview/' }, preview)
  for (const resource of [
    'backup-downloads',
    'notification-sinks',
    'service-instances',
    'tokens',
    'environments',
    'applications',
  ])
    await examples.send(`DELETE /apps/v3/${resource}/:uuid/`, idOf[resource])
  expect((await examples.send('DELETE /apps/v3/plans/:uuid/', plan)).status).toBe(204)
})
