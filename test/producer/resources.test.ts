import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestProducer, type TestProducer } from '../support/producer.ts'

let producer: TestProducer
beforeAll(async () => {
  producer = await startTestProducer()
})
afterAll(() => producer[Symbol.asyncDispose]())

const create = async (path: string, body: unknown) => {
  const answer = await producer.ask('POST', path, { body })
  expect(answer.text).toContain('uuid')
  expect(answer.status).toBe(201)
  return answer.body as Record<string, string>
}

test('an application, its environment and its service instances are made, listed, changed and deleted', async () => {
  const app = await create('/apps/v3/applications/', { slug: 'shop', name: 'The Shop' })
  const env = await create('/apps/v3/environments', { application: app.uuid, slug: 'live', timezone: 'europe/zurich' })
  const [plan] = (await producer.ask('GET', '/apps/v3/plans/?slug=default')).body.results
  expect(env).toMatchObject({
    application: app.uuid,
    plan: plan?.uuid,
    pruning_stopped: null,
    timezone: 'Europe/Zurich',
    last_finished_deployment: null,
  })
  const service = await create('/apps/v3/service-instances/', {
    environment: env.uuid,
    type: 'DATABASE',
    connection: { url: 'postgres://u:canary-in-the-mine@127.0.0.1:5432/shop' },
  })
  expect(service).toEqual({
    uuid: service.uuid,
    environment: env.uuid,
    type: 'DATABASE',
    prefix: 'DEFAULT',
    service_status: 'PROVISIONED',
    created_at: expect.any(String) as string,
  })
  const listed = await producer.ask('GET', `/apps/v3/service-instances/?environment=${env.uuid ?? ''}`)
  expect(listed.body).toEqual({ count: 1, next: null, previous: null, results: [service] })

  const renamed = await producer.ask('PATCH', `/apps/v3/environments/${env.uuid ?? ''}/`, {
    body: { slug: 'test', timezone: 'UTC' },
  })
  expect(renamed.body).toMatchObject({ slug: 'test', timezone: 'UTC', store: env.store })
  const moved = await producer.ask('PATCH', `/apps/v3/service-instances/${service.uuid ?? ''}`, {
    body: { prefix: 'MAIN' },
  })
  expect(moved.body).toMatchObject({ prefix: 'MAIN' })

  expect((await producer.ask('DELETE', `/apps/v3/applications/${app.uuid ?? ''}/`)).status).toBe(204)
  for (const path of [
    `applications/${app.uuid ?? ''}`,
    `environments/${env.uuid ?? ''}`,
    `service-instances/${service.uuid ?? ''}`,
  ])
    expect((await producer.ask('GET', `/apps/v3/${path}/`)).status).toBe(404)
  // The slug is free again.
  await create('/apps/v3/applications/', { slug: 'shop' })
})
