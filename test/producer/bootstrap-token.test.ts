import { expect, test } from 'vitest'
import { seedAdminToken } from '../../shared/catalog/tokens.ts'
import { startTestProducer } from '../support/producer.ts'

test('a bootstrap token that was revoked stays so until the configuration names another', async () => {
  await using own = await startTestProducer()
  const spare = await own.createToken('admin')
  const tokens = await own.ask('GET', '/apps/v3/tokens/')
  const bootstrap = tokens.body.results.find((token) => token['name'] === 'bootstrap admin')?.uuid ?? ''
  await own.ask('DELETE', `/apps/v3/tokens/${bootstrap}/`, { token: spare })
  await seedAdminToken(own.catalog, own.place.adminToken, new Date())
  expect((await own.ask('GET', '/iam/v3/me/')).status).toBe(401)
  await seedAdminToken(own.catalog, 'another-token-of-the-operator', new Date())
  expect((await own.ask('GET', '/iam/v3/me/', { token: 'another-token-of-the-operator' })).status).toBe(200)
})

test('a bootstrap token that is replaced takes its sessions with it, and may be named again later', async () => {
  await using own = await startTestProducer()
  const login = await own.ask('POST', '/login', {
    token: null,
    headers: { 'content-type': 'application/x-www-form-urlencoded', origin: own.url },
    body: `token=${own.place.adminToken}`,
  })
  const cookie = (login.headers.get('set-cookie') ?? '').split(';')[0] ?? ''
  const page = async () => (await own.ask('GET', '/', { token: null, headers: { cookie } })).status
  expect(await page()).toBe(200)
  await seedAdminToken(own.catalog, 'another-token-of-the-operator', new Date())
  expect(await page()).not.toBe(200)
  expect((await own.ask('GET', '/iam/v3/me/')).status).toBe(401)
  await seedAdminToken(own.catalog, own.place.adminToken, new Date())
  expect((await own.ask('GET', '/iam/v3/me/')).status).toBe(200)
  expect(await page()).not.toBe(200)
  expect((await own.ask('GET', '/iam/v3/me/', { token: 'another-token-of-the-operator' })).status).toBe(401)
})
