import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { endExpiredUploads } from '../../shared/catalog/uploads.ts'
import { CofferError } from '../../shared/errors.ts'
import { runError } from '../../workers/run-error.ts'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { sampleBytes } from '../support/streams.ts'
import {
  finish,
  send,
  services,
  stagedOf,
  startProducerOf,
  startPut,
  type CofferProducer,
  type UploadPart,
} from '../support/uploads.ts'
import { until } from '../support/until.ts'

const BYTES = sampleBytes(300_000)

let coffer: TestCoffer
let producer: CofferProducer
let backup: string
let part: UploadPart

beforeAll(async () => {
  coffer = await startTestCoffer()
  producer = await startProducerOf(coffer)
})
beforeEach(async () => {
  const { storage } = await services(coffer)
  const requested = await producer.request([storage])
  backup = requested.backup
  part = requested.parts[0] as UploadPart
})
afterAll(async () => {
  await producer[Symbol.asyncDispose]()
  await coffer[Symbol.asyncDispose]()
})

const idOf = ({ finish_url: url }: UploadPart) => new URL(url).pathname.split('/').at(-2) ?? ''

describe('of two who send to one link at the same time', () => {
  const begin = async () => {
    const begun = startPut(part, 2000)
    begun.request.write(Buffer.alloc(1000))
    await until(async () => (await Array.fromAsync(coffer.store.pendingUploads('uploads/'))).length === 1)
    return begun
  }

  test('the second is refused until the first is done', async () => {
    const { request, answered } = await begin()
    expect(await send(part, BYTES)).toMatchObject({ status: 409, body: { code: 'CONFLICT' } })
    request.end(Buffer.alloc(1000))
    expect((await answered)?.statusCode).toBe(200)
    expect(await send(part, BYTES)).toMatchObject({ status: 200 })
    expect(await stagedOf(coffer, backup)).toHaveLength(1)
  })

  test('the first counts for nothing when its hold has lapsed and the second has sent all', async () => {
    const { request, answered } = await begin()
    await coffer.catalog.query(`UPDATE uploads SET writing_until = now() - interval '1 second'`)
    expect(await send(part, BYTES)).toMatchObject({ status: 200 })
    const staged = await stagedOf(coffer, backup)
    request.end(Buffer.alloc(1000))
    expect((await answered)?.statusCode).toBe(409)
    await until(async () => (await stagedOf(coffer, backup)).length === 1)
    expect(await stagedOf(coffer, backup)).toEqual(expect.arrayContaining(staged.slice(0, 1)))
  })
})

test('each sending and the finish is a line of the audit log, with whose link it was; what is refused is none', async () => {
  const since = new Date()
  await send(part, BYTES)
  await send(part, Buffer.alloc(0))
  await finish(part)
  await finish(part)
  const lines = await coffer.catalog.query('SELECT * FROM audit WHERE at >= $1 ORDER BY id', [since])
  const line = { token_name: 'bootstrap admin', address: '127.0.0.1', targets: [idOf(part), backup], status: 200 }
  expect(lines).toMatchObject([
    { ...line, action: 'PUT /apps/v3/uploads/:uuid/content' },
    { ...line, action: 'POST /apps/v3/uploads/:uuid/finish' },
  ])
})

test('the links of a token that is revoked take nothing any more, and its unfinished uploads end as expired ones', async () => {
  const { body: made } = await producer.ask('POST', '/apps/v3/tokens/', { body: { name: 'ci', role: 'operator' } })
  const { storage } = await services(coffer)
  const ask = { environment: coffer.environmentId, services: [storage] }
  const asked = await producer.ask('POST', '/apps/v3/backups/upload/', { body: ask, token: String(made['token']) })
  const theirs = (asked.body['results'] as unknown as Record<string, UploadPart>)[storage] as UploadPart
  expect(await send(theirs, BYTES)).toMatchObject({ status: 200 })
  expect((await producer.ask('DELETE', `/apps/v3/tokens/${made.uuid}/`)).status).toBe(204)
  expect(await send(theirs, BYTES)).toMatchObject({ status: 410, body: { code: 'LINK_EXPIRED' } })
  expect(await finish(theirs)).toMatchObject({ status: 410, body: { code: 'LINK_EXPIRED' } })
  const error = runError(new CofferError('UPLOAD_EXPIRED', 'late'), 0, new Date())
  expect(await endExpiredUploads(coffer.catalog, error, new Date())).toBe(1)
  expect((await coffer.ended(asked.body.uuid)).success).toBe('FAILURE')
  expect(await send(part, BYTES)).toMatchObject({ status: 200 })
})
