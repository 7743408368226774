import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test, vi } from 'vitest'
import { startTestProducer } from '../support/producer.ts'

/** More than the producer has connections to its catalog. */
const MANY = 30

test('stores that do not answer hold no connection of the catalog while they are looked at', async () => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'nobody')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'nothing')
  const waiting: ServerResponse[] = []
  const silent = createServer((_request, response) => {
    waiting.push(response)
    if (waiting.length === MANY) silent.emit('all')
  }).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const { port } = silent.address() as AddressInfo
  await using producer = await startTestProducer()
  const all = once(silent, 'all')
  const asked = Array.from({ length: MANY }, (_, number) => {
    const url = `s3://bucket-${number}?region=x&forcePathStyle=true&endpoint=http://127.0.0.1:${port}`
    return producer.ask('POST', '/apps/v3/stores/', { body: { name: `store-${number}`, url } })
  })
  await all
  expect((await producer.ask('GET', '/apps/v3/stores/')).status).toBe(200)
  expect((await producer.ask('POST', '/apps/v3/applications/', { body: { slug: 'shop' } })).status).toBe(201)
  silent.on('request', (_request, response) => response.writeHead(403).end())
  for (const response of waiting) response.writeHead(403).end()
  const answers = await Promise.all(asked)
  expect(new Set(answers.map(({ body }) => body['code']))).toEqual(new Set(['STORE_REFUSED']))
  silent.close()
  vi.unstubAllEnvs()
})
