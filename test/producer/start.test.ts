import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startProducer } from '../../producer/start.ts'
import { systemClock } from '../../shared/clock.ts'
import { loadProducerConfig, type ProducerConfig } from '../../shared/config.ts'
import { openLog } from '../../shared/log.ts'
import { createTestDatabase } from '../support/databases.ts'
import { askProducer, createTestPlace, type Answer, type TestPlace } from '../support/producer.ts'

const start = (config: ProducerConfig) => startProducer(config, openLog('producer', 'silent'), systemClock)

/** Starts a producer, asks, and stops it. */
async function askOnce(
  { env }: TestPlace,
  changes: Record<string, string>,
  path: string,
  tokens: readonly string[],
): Promise<Answer[]> {
  const config = loadProducerConfig({ ...env, ...changes })
  const producer = await start(config)
  try {
    return await Promise.all(tokens.map((token) => askProducer(producer.url, token, 'GET', path)))
  } finally {
    await producer.close()
  }
}

test('starting twice keeps one default organisation, plan and store, and a new store address becomes the default', async () => {
  await using place = await createTestPlace()
  const stores = async (env: Record<string, string>) => {
    const [answer] = await askOnce(place, env, '/apps/v3/stores/', [place.adminToken])
    return answer?.body.results as unknown as { uuid: string; name: string; region: string; is_default: boolean }[]
  }
  const [first] = await stores({})
  expect(await stores({})).toEqual([first])
  const moved = await stores({ COFFER_STORAGE_URL: 's3://bucket/prefix?region=eu-north-1' })
  expect(moved).toMatchObject([
    { name: 'default', region: 'eu-north-1', is_default: true },
    { uuid: first?.uuid, name: `store-${first?.uuid.slice(0, 8) ?? ''}`, is_default: false },
  ])
  const back = await stores({})
  expect(back[0]).toMatchObject({ uuid: first?.uuid, name: 'default', is_default: true })
  expect(back).toHaveLength(2)
})

test('two producers that start at the same time agree on the defaults', async () => {
  await using place = await createTestPlace()
  const both = await Promise.all([1, 2].map(() => askOnce(place, {}, '/apps/v3/stores/', [place.adminToken])))
  expect(both.flat().map(({ status, body }) => [status, body.count])).toEqual([
    [200, 1],
    [200, 1],
  ])
})

test('another admin token in the environment takes the place of the one before', async () => {
  await using place = await createTestPlace()
  const statuses = async (env: Record<string, string>, tokens: string[]) =>
    (await askOnce(place, env, '/iam/v3/me/', tokens)).map(({ status }) => status)
  const other = 'another-token-of-at-least-32-characters'
  expect(await statuses({}, [place.adminToken, other])).toEqual([200, 401])
  expect(await statuses({ COFFER_ADMIN_TOKEN: other }, [place.adminToken, other])).toEqual([401, 200])
  expect(await statuses({ COFFER_ADMIN_TOKEN: '' }, [other])).toEqual([200])
})

test('ready means that catalog, migrations, Redis, store, keys and clients answer; anybody may ask', async () => {
  await using place = await createTestPlace()
  const [ready] = await askOnce(place, {}, '/readyz', [''])
  expect(ready?.body).toEqual({
    status: 'ready',
    checks: ['catalog', 'migrations', 'redis', 'store', 'keys', 'clients'].map((name) => ({
      name,
      ok: true,
      reason: null,
    })),
  })
  const [missing] = await askOnce(place, { COFFER_STORAGE_URL: 's3://bucket?endpoint=http://127.0.0.1:1' }, '/readyz', [
    '',
  ])
  expect(missing?.status).toBe(503)
  expect(missing?.body['checks']).toContainEqual({ name: 'store', ok: false, reason: expect.any(String) as string })
  const [alive] = await askOnce(place, {}, '/healthz/', [''])
  expect(alive?.body).toEqual({ status: 'ok' })
})

test('what it needs and does not find is named: catalog, migrations, port, identity', async () => {
  await using place = await createTestPlace()
  const refusal = (env: Record<string, string>) =>
    start(loadProducerConfig({ ...place.env, ...env })).then(
      () => 'it started',
      (error: unknown) => (error as Error).message,
    )
  expect(await refusal({ COFFER_DATABASE_URL: 'postgres://u:canary@127.0.0.1:1/none' })).toBe(
    'the catalog database (COFFER_DATABASE_URL) does not answer',
  )
  const empty = await createTestDatabase()
  expect(await refusal({ COFFER_DATABASE_URL: empty.url })).toMatch(
    /^the catalog lacks the migrations 0001_catalog.*npm run migrate/,
  )
  await empty.drop()
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const address = taken.address()
  const port = typeof address === 'object' && address ? String(address.port) : ''
  expect(await refusal({ PORT: port })).toBe(
    `HOST and PORT: can't listen on 127.0.0.1:${port}: something else listens there`,
  )
  taken.close()
  const identity = join(place.folder, 'identity')
  await writeFile(identity, 'canary')
  expect(await refusal({ COFFER_AGE_IDENTITY_FILE: identity })).toMatch(/has no line that begins with AGE-SECRET-KEY-1/)
  expect(await refusal({ COFFER_AGE_IDENTITY_FILE: identity })).not.toContain('canary')
  expect(await refusal({ COFFER_STORAGE_URL: 's3://' })).not.toBe('it started')
})
