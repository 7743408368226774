import { afterAll, beforeAll, expect, test } from 'vitest'
import { hashToken } from '../../shared/catalog/tokens.ts'
import { startTestProducer, type TestProducer } from '../support/producer.ts'

let producer: TestProducer
beforeAll(async () => {
  producer = await startTestProducer()
})
afterAll(() => producer[Symbol.asyncDispose]())

test("an application made with an organisation's token is that organisation's", async () => {
  const made = await producer.ask('POST', '/apps/v3/applications/', { token: foreign, body: { slug: 'shop' } })
  expect(made.status).toBe(201)
  const me = await producer.ask('GET', '/iam/v3/me/', { token: foreign })
  expect(made.body.organisation).toBe(me.body.organisation)
  await producer.ask('DELETE', `/apps/v3/applications/${made.body.uuid}/`, { token: foreign })
})

test('a revoked token is refused from the next request on', async () => {
  const token = await producer.createToken('viewer')
  expect((await producer.ask('GET', '/iam/v3/me/', { token })).body).toMatchObject({ role: 'viewer' })
  await producer.catalog.query('UPDATE tokens SET revoked_at = now() WHERE sha256 = $1', [hashToken(token)])
  expect((await producer.ask('GET', '/iam/v3/me/', { token })).status).toBe(401)
})

test('after twenty wrong tokens an address waits, but tokens known to be right still pass', async () => {
  await using guessed = await startTestProducer()
  const fresh = await guessed.createToken('viewer')
  expect((await guessed.ask('GET', '/iam/v3/me/')).status).toBe(200)
  const guesses = await Promise.all(
    Array.from({ length: 25 }, (_, n) => guessed.ask('GET', '/iam/v3/me/', { token: `guess-${n}` })),
  )
  expect(guesses.every(({ status }) => status === 401 || status === 429)).toBe(true)
  const late = await guessed.ask('GET', '/iam/v3/me/', { token: fresh })
  expect(late.body).toMatchObject({ status: 429, code: 'TOO_MANY_ATTEMPTS' })
  expect(Number(late.headers.get('retry-after'))).toBeGreaterThan(0)
  expect((await guessed.ask('GET', '/iam/v3/me/')).status).toBe(200)
})
