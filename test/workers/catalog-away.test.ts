import { expect, test } from 'vitest'
import { startTestCoffer } from '../support/coffer.ts'
import { createTestDatabase } from '../support/databases.ts'
import { startS3Server } from '../support/s3-server/server.ts'
import { fillTable } from '../support/sample-data.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'

test('F12 a catalog that is away when the manifest is written delays the seal, and costs nothing', async () => {
  await using s3 = await startS3Server()
  await using coffer = await startTestCoffer({ s3, env: { COFFER_LEASE_SECONDS: '60' } })
  const catalogUrl = new URL(coffer.env.COFFER_DATABASE_URL ?? '')
  await using proxy = await startTcpProxy({ host: catalogUrl.hostname, port: Number(catalogUrl.port) })
  catalogUrl.port = String(proxy.port)
  const source = await createTestDatabase()
  await fillTable(source.url, 1_000)
  await coffer.addService('DATABASE', source.url)
  const worker = await coffer.worker({ env: { COFFER_DATABASE_URL: catalogUrl.href } })
  const manifest = s3.fault({ op: 'PutObject', key: 'manifest\\.json$', kind: 'delay', ms: 500 })
  const { uuid } = await coffer.backup()

  await manifest.struck
  proxy.cut()
  await worker.line(({ msg }) => msg === 'the lease could not be renewed')
  proxy.heal()

  expect((await coffer.ended(uuid)).success).toBe('SUCCESS')
  expect(await coffer.parts(uuid)).toMatchObject([{ attempt: 1, errors: [] }])
  expect((await coffer.objects()).filter((key) => key.endsWith('manifest.json'))).toHaveLength(1)
  await source.drop()
})
