import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { entryOf } from '../../producer/audit.ts'
import type { Call, Route } from '../../producer/routes.ts'
import { writeAudit } from '../../shared/catalog/audit.ts'
import { startTestProducer, type TestProducer } from '../support/producer.ts'
import { createTenant, type Tenant } from './tenant.ts'

const actor = { tokenId: randomUUID(), name: 'an admin', role: 'admin', scope: { organisationId: null } }

let producer: TestProducer
let tenant: Tenant
beforeAll(async () => {
  producer = await startTestProducer()
  tenant = await createTenant(producer)
})
afterAll(() => producer[Symbol.asyncDispose]())

const THINGS = [
  ...(['organisation', 'token', 'sink', 'application', 'environment', 'service'] as const),
  ...(['verification', 'backup', 'part', 'restore', 'download', 'item'] as const),
]

test('the log of an organisation has what an admin of the whole installation did to anything of it', async () => {
  const whose = await Promise.all(
    THINGS.map(async (kind) => {
      const requestId = randomUUID()
      const call = { actor, params: { uuid: tenant[kind] }, body: {}, address: '', requestId } as unknown as Call
      await writeAudit(producer.catalog, entryOf({ method: 'POST', path: '/' } as Route, call, new Date(), 'begins'))
      const sql = 'SELECT organisation_id FROM audit WHERE request_id = $1'
      const [line] = await producer.catalog.query<{ organisation_id: string | null }>(sql, [requestId])
      return [kind, line?.organisation_id]
    }),
  )
  expect(whose).toEqual(THINGS.map((kind) => [kind, tenant.organisation]))
})

test('so has it what he changed by a request', async () => {
  const path = `/apps/v3/notification-sinks/${tenant.sink}/`
  expect((await producer.ask('PATCH', path, { body: { name: 'renamed' } })).status).toBe(200)
  const token = await producer.createToken('admin', tenant.organisation)
  const shown = (await producer.ask('GET', `/apps/v3/audit/?action=PATCH&target=${tenant.sink}`, { token })).body
    .results
  expect(shown).toMatchObject([{ token_name: 'bootstrap admin', changes: { name: 'renamed' } }])
})
