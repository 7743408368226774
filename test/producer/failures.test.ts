import { expect, test } from 'vitest'
import { ensureDefaultStore } from '../../shared/catalog/stores.ts'
import { startTestProducer } from '../support/producer.ts'
import { onTestServer } from '../support/databases.ts'
import { expectProblem } from './problems.ts'

test('what nobody foresaw shows a request id and nothing of its message', async () => {
  await using producer = await startTestProducer()
  await producer.catalog.query('ALTER TABLE restores RENAME TO canary')
  const answer = await producer.ask('GET', '/apps/v3/backup-restores/')
  expectProblem(answer, 500, 'INTERNAL')
  expect(answer.text).not.toMatch(/relation|restores\b(?!\/)|canary/)
})

test('with the catalog gone requests end in 503, readiness says why, and the process lives', async () => {
  await using producer = await startTestProducer()
  const name = new URL(producer.place.databaseUrl).pathname.slice(1)
  // The producer's own loops would be back before the name is gone.
  await onTestServer(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`)
  await onTestServer(`SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '${name}'`)
  await onTestServer(`ALTER DATABASE ${name} RENAME TO ${name}_gone`)
  try {
    const answers = [await producer.ask('GET', '/apps/v3/backups/'), await producer.ask('GET', '/apps/v3/backups/')]
    for (const answer of answers) expectProblem(answer, 503, 'SERVICE_UNAVAILABLE')
    const ready = await producer.ask('GET', '/readyz', { token: null })
    expect(ready.status).toBe(503)
    expect(ready.body['checks']).toContainEqual({ name: 'catalog', ok: false, reason: expect.any(String) as string })
    expect((await producer.ask('GET', '/healthz', { token: null })).status).toBe(200)
  } finally {
    await onTestServer(`ALTER DATABASE ${name}_gone RENAME TO ${name}`)
    await onTestServer(`ALTER DATABASE ${name} ALLOW_CONNECTIONS true`)
  }
  expect((await producer.ask('GET', '/apps/v3/backups/')).status).toBe(200)
})

test('producers that start at once with different stores leave exactly one default', async () => {
  await using producer = await startTestProducer()
  const urls = Array.from({ length: 12 }, (_, n) => `file:///stores/${n}`)
  await Promise.all(urls.map((url) => ensureDefaultStore(producer.catalog, url, new Date())))
  const stores = await producer.ask('GET', '/apps/v3/stores/')
  expect(stores.body.count).toBe(13)
  expect(stores.body.results.filter((store) => store['is_default'] === true)).toMatchObject([{ name: 'default' }])
})
