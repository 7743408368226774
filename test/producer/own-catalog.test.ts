import { afterAll, beforeAll, expect, test } from 'vitest'
import { OWN, ensureOwnBackup } from '../../shared/catalog/own-backup.ts'
import { openSecrets } from '../../shared/secrets.ts'
import { plantBackups } from '../support/planted-backups.ts'
import { startTestProducer, type TestProducer } from '../support/producer.ts'
import { record } from './tenant.ts'

let producer: TestProducer
let tokens: { operator: string; admin: string }
/** A backup of the catalog, its one part, and an environment with a database of its own. */
let own: { backup: string; part: string }
let shop: { environment: string; service: string; backup: string; part: string }

const made = async (resource: string, body: unknown) =>
  (await producer.ask('POST', `/apps/v3/${resource}/`, { body })).body.uuid

/** A good backup by the catalog, with one artifact that lies in no store. */
async function plant(environment: string): Promise<{ backup: string; part: string }> {
  const [backup = ''] = await plantBackups(producer.catalog, environment, [1])
  const [part] = await producer.catalog.query<{ id: string }>(
    `UPDATE service_instance_backups SET store_id = (SELECT id FROM stores WHERE is_default) WHERE backup_id = $1 RETURNING id`,
    [backup],
  )
  await producer.catalog.query(
    `INSERT INTO artifacts (service_instance_backup_id, attempt, kind, key, record) VALUES ($1, 1, 'dump', $2, $3)`,
    [part?.id, `${backup}/dump`, record(`${backup}/dump`)],
  )
  return { backup, part: part?.id ?? '' }
}

beforeAll(async () => {
  producer = await startTestProducer()
  const { catalog, place } = producer
  const secrets = openSecrets(place.env['COFFER_SECRET_KEY'] ?? '')
  const url = 'postgres://coffer:secret@127.0.0.1/catalog'
  await ensureOwnBackup(catalog, { secrets, url, isOn: true, now: new Date() })
  const [operator = '', admin = ''] = await Promise.all(
    (['operator', 'admin'] as const).map((role) => producer.createToken(role)),
  )
  tokens = { operator, admin }
  own = await plant(OWN.environment)
  const environment = await made('environments', {
    application: await made('applications', { slug: 'shop' }),
    slug: 'live',
  })
  const connection = { url: 'postgres://u:p@127.0.0.1/shop' }
  const service = await made('service-instances', { environment, type: 'DATABASE', connection })
  shop = { environment, service, ...(await plant(environment)) }
})
afterAll(() => producer[Symbol.asyncDispose]())

const download = (backup: string, token: string) =>
  producer.ask('POST', '/apps/v3/backup-downloads/', { token, body: { backup } })
const restore = (part: { backup: string; part: string }, target: string, token: string) =>
  producer.ask('POST', '/apps/v3/backup-restores/', {
    token,
    body: {
      backup: part.backup,
      service_instance_restores: [{ service_instance_backup: part.part, service_instance: target }],
      confirm: 'shop/live',
    },
  })
const linksOf = async (token: string, id = '') =>
  (await producer.ask('GET', `/apps/v3/backup-download-service-instances/?backup=${id}`, { token })).body.results

test("a backup of Coffer's own catalog is read by an admin only: it holds what every organisation has", async () => {
  expect((await download(own.backup, tokens.operator)).body).toMatchObject({ code: 'FORBIDDEN' })
  expect((await restore(own, shop.service, tokens.operator)).body).toMatchObject({ code: 'FORBIDDEN' })
  expect((await download(shop.backup, tokens.operator)).status).toBe(201)

  const byAdmin = await download(own.backup, tokens.admin)
  expect(byAdmin.status).toBe(201)
  const [item] = await linksOf(tokens.admin, byAdmin.body.uuid)
  expect(item).toMatchObject({ service_instance_backup: own.part })
  expect((await restore(own, shop.service, tokens.admin)).status).toBe(201)
})

test("an operator neither finds nor reads the links that an admin has made to the catalog's own backup", async () => {
  const { uuid } = (await download(own.backup, tokens.admin)).body
  const [item] = await linksOf(tokens.admin, uuid)
  expect(await linksOf(tokens.operator, uuid)).toEqual([])
  const direct = `/apps/v3/backup-download-service-instances/${item?.uuid}/`
  expect((await producer.ask('GET', direct, { token: tokens.operator })).body).toMatchObject({ code: 'FORBIDDEN' })
  expect((await producer.ask('GET', direct, { token: tokens.admin })).status).toBe(200)
})

test('nothing is restored over or uploaded into the living catalog, not even by an admin', async () => {
  for (const part of [own, shop])
    expect((await restore(part, OWN.serviceInstance, tokens.admin)).body).toMatchObject({
      code: 'CONFLICT',
      detail: expect.stringContaining('living catalog') as string,
    })
  const body = { environment: OWN.environment, services: [OWN.serviceInstance] }
  expect((await producer.ask('POST', '/apps/v3/backups/upload/', { token: tokens.admin, body })).body).toMatchObject({
    code: 'CONFLICT',
  })
})
