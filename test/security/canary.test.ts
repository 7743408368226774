import { randomBytes, randomUUID } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { escapeLiteral } from 'pg'
import { expect, test } from 'vitest'
import { startTestCoffer } from '../support/coffer.ts'
import { createTestDatabase, onTestServer } from '../support/databases.ts'
import { dumpAsText } from '../support/postgres.ts'
import { fillTable, inDatabase } from '../support/sample-data.ts'
import { until } from '../support/until.ts'
import { startProcess } from '../support/worker-process.ts'
import { parsePostgresUrl } from '../../shared/postgres/connection.ts'

const PROCESS_FILES = ['cmdline', 'environ']

/** What `ps` shows, to anybody and to the same user, of every process on the machine but the server's own and this one. */
function everyProcess(): string {
  const files = readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid) && Number(pid) !== process.pid)
    .flatMap((pid) => PROCESS_FILES.map((file) => `/proc/${pid}/${file}`))
  return files.map(readIfThere).join('\n')
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}

test('F42 the password of a source appears in no sink: Redis, Bull Board, logs, HTTP bodies, ps, job errors, catalog, store', async () => {
  await using coffer = await startTestCoffer()
  const canary = `canary-${randomBytes(12).toString('hex')}`
  const role = `canary_${randomBytes(4).toString('hex')}`
  const source = await createTestDatabase()
  await fillTable(source.url, 50_000, 640)
  await onTestServer(`CREATE ROLE ${role} LOGIN SUPERUSER PASSWORD ${escapeLiteral(canary)}`)
  const url = new URL(source.url)
  url.username = role
  url.password = canary
  const wrong = new URL(url)
  wrong.password = `${canary}-wrong`
  const token = randomBytes(32).toString('hex')
  const sinks: Record<string, string> = {}

  await using producer = startProcess('producer/main.ts', {
    env: { ...coffer.env, PORT: '0', COFFER_ADMIN_TOKEN: token },
  })
  const { url: address } = await producer.line(({ msg }) => msg === 'listening')
  const bodies: string[] = []
  const call = async (path: string, body?: object): Promise<{ uuid: string }> => {
    const answer = await fetch(new URL(path, String(address)), {
      method: body ? 'POST' : 'GET',
      headers: { authorization: `Token ${token}`, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
    bodies.push([...answer.headers].join('\n'), await answer.text())
    return JSON.parse(bodies.at(-1) ?? '') as { uuid: string }
  }
  const service = (prefix: string, connection: object) =>
    call('/apps/v3/service-instances/', { environment: coffer.environmentId, type: 'DATABASE', prefix, connection })
  await service('GOOD', { url: url.href })
  await service('WRONG', { url: wrong.href })
  await service('TYPO', { url: `postgres://${role}:${canary}@:notaport/${source.name}` })
  await service('ODD', { url: `${url.href}?passfile=${canary}` })
  const worker = await coffer.worker({ env: { COFFER_LOG_LEVEL: 'trace' } })
  const { uuid } = await call('/apps/v3/backups/', { environment: coffer.environmentId })
  await until(async () => {
    const rows = await inDatabase(
      source.url,
      `SELECT 1 FROM pg_stat_activity WHERE application_name = 'pg_dump' AND usename = '${role}'`,
    )
    return rows.length > 0
  })
  sinks.processes = everyProcess()
  const backup = await coffer.ended(uuid)
  expect(backup.success).toBe('PARTIAL')

  for (const path of ['backups/', `service-instance-backups/?backup=${uuid}`, 'service-instances/', 'environments/'])
    await call(`/apps/v3/${path}`)
  await call(`/apps/v3/backups/${randomUUID()}/`)
  sinks.http = bodies.join('\n')
  sinks.bullBoard = await bullBoard(String(address), token)
  sinks.logs = producer.output() + worker.output()
  sinks.redis = await everythingInRedis(coffer.redis)
  sinks.catalog = await dumpAsText(parsePostgresUrl(coffer.env.COFFER_DATABASE_URL ?? ''))
  sinks.manifests = (
    await Promise.all(
      (await coffer.objects()).filter((key) => key.endsWith('.json')).map((key) => text(coffer.store, key)),
    )
  ).join('\n')

  // Each sink has what it should have, so that an empty one proves nothing.
  expect(sinks.processes).toContain('pg_dump')
  expect(sinks.http).toContain('SOURCE_AUTH_FAILED')
  expect(sinks.bullBoard).toContain('live · shop · GOOD')
  expect(sinks.logs).toContain('run sealed')
  expect(sinks.redis).toContain('password authentication failed')
  expect(sinks.catalog).toContain('SOURCE_AUTH_FAILED')
  expect(sinks.manifests).toContain('"contents"')
  for (const [sink, content] of Object.entries(sinks)) expect(content.includes(canary), sink).toBe(false)
  await source.drop()
  await onTestServer(`DROP ROLE ${role}`)
})

async function text(store: { read(key: string): Promise<AsyncIterable<Buffer>> }, key: string): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of await store.read(key)) chunks.push(chunk)
  return Buffer.concat(chunks).toString('latin1')
}

/** Every queue's page as the dashboard fetches it, after logging in as a person does. */
async function bullBoard(address: string, token: string): Promise<string> {
  const login = await fetch(new URL('/login', address), {
    method: 'POST',
    redirect: 'manual',
    headers: { 'content-type': 'application/x-www-form-urlencoded', origin: address },
    body: new URLSearchParams({ token }),
  })
  const cookie = login.headers.get('set-cookie')?.split(';')[0] ?? ''
  const pages = ['dump', 'media-archive', 'restore'].flatMap((queue) =>
    ['completed', 'failed', 'latest'].map(
      (status) => `/queues/api/queues?activeQueue=${queue}&status=${status}&page=1&jobsPerPage=100`,
    ),
  )
  const answers = await Promise.all(pages.map((page) => fetch(new URL(page, address), { headers: { cookie } })))
  return (await Promise.all(answers.map((answer) => answer.text()))).join('\n')
}

async function everythingInRedis(redis: Awaited<ReturnType<typeof startTestCoffer>>['redis']): Promise<string> {
  const keys = await redis.keys('*')
  const values = await Promise.all(
    keys.map(async (key) => {
      const type = await redis.type(key)
      if (type === 'hash')
        return Object.entries(await redis.hgetall(key))
          .flat()
          .join(' ')
      if (type === 'stream') return JSON.stringify(await redis.xrange(key, '-', '+'))
      return redis.dump(key)
    }),
  )
  return [...keys, ...values].join('\n')
}
