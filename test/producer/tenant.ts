import { randomBytes } from 'node:crypto'
import { generateIdentity } from '../../shared/pipeline/age-header.ts'
import type { TestProducer } from '../support/producer.ts'

/** One of everything that an organisation can have, and what all organisations share. */
export interface Tenant {
  organisation: string
  application: string
  environment: string
  service: string
  backup: string
  part: string
  download: string
  item: string
  restore: string
  verification: string
  sink: string
  token: string
  /** An age public key, registered. */
  recipient: string
  plan: string
  store: string
}

/** By the catalog; it lies in no store. */
export const record = (key: string): object => ({
  kind: 'dump',
  key,
  plain_size: 1,
  plain_sha256: '0'.repeat(64),
  stored_size: 1,
  stored_sha256: '0'.repeat(64),
  encodings: [],
})

/** Makes a tenant with one of everything. Its backup is good by the catalog, and lies in no store. */
export async function createTenant(at: TestProducer): Promise<Tenant> {
  const organisation = await made(at, 'organisations', { slug: name('org'), media_roots: [at.place.mediaRoot] })
  const { application, environment, service } = await createTree(at, organisation)
  const sink = await createSinkOf(at, organisation)
  const answer = await at.ask('POST', '/apps/v3/backups/', { body: { environment } })
  const { uuid: backup, service_instance_backups: parts } = answer.body
  const [part = ''] = parts
  await at.catalog.query(
    `UPDATE service_instance_backups SET state = 'COMPLETED', success = 'SUCCESS', attempt = 1, ended_at = now() WHERE id = $1`,
    [part],
  )
  await at.catalog.query(
    `UPDATE backups SET state = 'COMPLETED', success = 'SUCCESS', ended_at = now() WHERE id = $1`,
    [backup],
  )
  await at.catalog.query(
    `INSERT INTO artifacts (service_instance_backup_id, attempt, kind, key, record)
     VALUES ($1, 1, 'dump', $2, $3)`,
    [part, `${backup}/dump`, record(`${backup}/dump`)],
  )
  const download = await createDownloadOf(at, backup)
  const items = await at.ask('GET', `/apps/v3/backup-download-service-instances/?backup=${download}`)
  const [restore] = await at.catalog.query<{ id: string }>(
    `INSERT INTO restores (id, backup_id, created_at, ended_at, success)
     VALUES (gen_random_uuid(), $1, now(), now(), 'FAILURE') RETURNING id`,
    [backup],
  )
  await at.catalog.query(
    `INSERT INTO alerts (kind, subject, environment_id, message, raised_at) VALUES ('missed', $1, $2, $3, now())`,
    [name('alert'), environment, `of ${environment}`],
  )
  const [verification] = await at.catalog.query<{ id: string }>(
    `INSERT INTO verifications (id, environment_id, level, trigger, state, outcome, queued_at, ended_at)
     VALUES (gen_random_uuid(), $1, 'metadata', 'SCHEDULED', 'COMPLETED', 'passed', now(), now()) RETURNING id`,
    [environment],
  )
  const { recipient } = await generateIdentity()
  await made(at, 'keys', { recipient, name: 'of a tenant', accept_unreadable: true })
  const token = await createTokenOf(at, organisation)
  const plan = await made(at, 'plans', { slug: name('plan') })
  const stores = await at.ask('GET', '/apps/v3/stores/')
  return {
    organisation,
    application,
    environment,
    service,
    backup,
    part,
    download,
    item: items.body.results[0]?.uuid ?? '',
    restore: restore?.id ?? '',
    verification: verification?.id ?? '',
    sink,
    token,
    recipient,
    plan,
    store: stores.body.results[0]?.uuid ?? '',
  }
}

/** An application with an environment and a service instance. */
export async function createTree(
  at: TestProducer,
  organisation: string,
): Promise<{ application: string; environment: string; service: string }> {
  const application = await made(at, 'applications', { slug: name('shop'), organisation })
  const environment = await made(at, 'environments', { application, slug: 'live' })
  const connection = { url: 'postgres://u:p@127.0.0.1/shop' }
  const service = await made(at, 'service-instances', { environment, type: 'DATABASE', connection })
  return { application, environment, service }
}

export const createTokenOf = (at: TestProducer, organisation: string): Promise<string> =>
  made(at, 'tokens', { name: 'made', role: 'viewer', organisation })

export const createSinkOf = (at: TestProducer, organisation: string): Promise<string> =>
  made(at, 'notification-sinks', { name: 'hook', type: 'webhook', url: 'https://8.8.8.8/hook', organisation })

export const createDownloadOf = (at: TestProducer, backup: string): Promise<string> =>
  made(at, 'backup-downloads', { backup })

export const name = (of: string): string => `${of}-${randomBytes(4).toString('hex')}`

async function made(at: TestProducer, resource: string, body: unknown): Promise<string> {
  const answer = await at.ask('POST', `/apps/v3/${resource}/`, { body })
  if (answer.status !== 201) throw new Error(`POST ${resource}: ${answer.text}`)
  return answer.body.uuid
}
