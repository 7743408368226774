import { afterAll, beforeAll, expect, test } from 'vitest'
import { plantBackups } from '../support/planted-backups.ts'
import { startTestProducer, type TestProducer } from '../support/producer.ts'

const RESTORES = '/apps/v3/backup-restores/'
let producer: TestProducer
let tokens: { viewer: string; operator: string; admin: string }
let backup: string
/** By type, of the environment that the backup is of, and of another one. */
let live: Record<string, string>
let other: Record<string, string>
let parts: Record<string, string>

beforeAll(async () => {
  producer = await startTestProducer()
  const [viewer, operator, admin] = await Promise.all(
    (['viewer', 'operator', 'admin'] as const).map((role) => producer.createToken(role)),
  )
  tokens = { viewer: viewer ?? '', operator: operator ?? '', admin: admin ?? '' }
  const made = async (resource: string, body: unknown) =>
    (await producer.ask('POST', `/apps/v3/${resource}/`, { body })).body.uuid
  const application = await made('applications', { slug: 'shop' })
  const environments = [
    await made('environments', { application, slug: 'live' }),
    await made('environments', { application, slug: 'test' }),
  ]
  const [first = {}, second = {}] = await Promise.all(
    environments.map(async (environment) => ({
      DATABASE: await made('service-instances', {
        environment,
        type: 'DATABASE',
        connection: { url: `postgres://u:p@127.0.0.1/${environment}` },
      }),
      STORAGE: await made('service-instances', {
        environment,
        type: 'STORAGE',
        connection: { url: `file://${producer.place.mediaRoot}/${environment}` },
      }),
    })),
  )
  live = first
  other = second
  backup = (await plantBackups(producer.catalog, environments[0] ?? '', [3]))[0] ?? ''
  const { results } = (await producer.ask('GET', `/apps/v3/service-instance-backups/?backup=${backup}`)).body
  parts = Object.fromEntries(results.map((part) => [part.service_type, part.uuid]))
})
afterAll(() => producer[Symbol.asyncDispose]())

const bodyOf = (part: object = {}, more: object = {}, type = 'DATABASE') => ({
  backup,
  service_instance_restores: [{ service_instance_backup: parts[type], ...part }],
  ...more,
})
const restore = (body: object, token = tokens.operator) => producer.ask('POST', RESTORES, { token, body })
const wrongField = (field: string, message: RegExp) => ({
  code: 'REQUEST_INVALID',
  status: 422,
  errors: [{ field, message: expect.stringMatching(message) as string }],
})

test("a restore as Divio's clients ask for it goes where the backup is from, without a confirmation", async () => {
  const { status, body } = await restore({
    backup,
    service_instance_restores: ['DATABASE', 'STORAGE'].map((type) => ({ service_instance_backup: parts[type] })),
  })
  expect(status).toBe(201)
  expect(body).toMatchObject({ finished: false, success: null, backup })
  const shown = (await producer.ask('GET', `${RESTORES}${body.uuid}/`, { token: tokens.viewer })).body
  const targets = (shown as unknown as { service_instance_restores: { service_instance: string; state: string }[] })
    .service_instance_restores
  expect(targets.map((part) => part.service_instance).sort()).toEqual(Object.values(live).sort())
  expect(targets.map((part) => part.state)).toEqual(['QUEUED', 'QUEUED'])
})

test("a confirmation that is not the target's name is refused at once, with the name", async () => {
  const into = { service_instance: other['DATABASE'] }
  expect((await restore(bodyOf(into, { confirm: 'shop/live' }))).body).toMatchObject(
    wrongField('confirm', /^must be the name of the target, shop\/test$/),
  )
  expect((await restore(bodyOf(into, { confirm: 'shop/test' }))).status).toBe(201)
  const both = {
    backup,
    confirm: 'shop/test',
    service_instance_restores: [
      { service_instance_backup: parts['DATABASE'], service_instance: other['DATABASE'] },
      { service_instance_backup: parts['STORAGE'] },
    ],
  }
  expect((await restore(both)).body).toMatchObject(wrongField('confirm', /one environment at a time/))
})

test.each([
  ['DATABASE', { paths: ['a'] }, 'paths', /choose schemas or tables/],
  ['STORAGE', { tables: ['public.item'] }, 'tables', /choose paths/],
  ['STORAGE', { schemas: ['public'] }, 'schemas', /choose paths/],
])('of a %s a selection of %j is refused', async (type, selection, field, message) => {
  expect((await restore(bodyOf({ selection }, {}, type))).body).toMatchObject(
    wrongField(`service_instance_restores.0.selection.${field}`, message),
  )
})

test('a selection is kept with its part, and an unknown kind of it is refused', async () => {
  const { body } = await restore(bodyOf({ selection: { tables: ['public.item'] } }))
  expect(body).toMatchObject({
    service_instance_restores: [{ selection: { tables: ['public.item'], schemas: [], paths: [] } }],
  })
  expect((await restore(bodyOf({ selection: { rows: ['1'] } }))).body).toMatchObject(
    wrongField('service_instance_restores.0.selection.rows', /is not known here/),
  )
})

test('only an admin may lose what the target holds', async () => {
  const refused = await restore(bodyOf({}, { safety_backup: false }))
  expect(refused.body).toMatchObject({ code: 'FORBIDDEN', status: 403 })
  expect(refused.body.detail).toContain('restoring without a safety backup needs the role admin')
  expect((await restore(bodyOf({}, { safety_backup: false }), tokens.admin)).status).toBe(201)
})

test('an operator cancels a restore, a viewer does not, and nobody confirms or undoes what kept nothing', async () => {
  const { uuid } = (await restore(bodyOf())).body
  const act = (verb: string, token: string) => producer.ask('POST', `${RESTORES}${uuid}/${verb}/`, { token, body: {} })
  expect((await act('cancel', tokens.viewer)).status).toBe(403)
  for (const verb of ['confirm', 'undo'])
    expect((await act(verb, tokens.operator)).body).toMatchObject({ code: 'CONFLICT', status: 409 })
  expect((await act('cancel', tokens.operator)).body).toMatchObject({ finished: true, success: 'CANCELLED' })
  expect((await act('cancel', tokens.operator)).body).toMatchObject({ code: 'CONFLICT', status: 409 })
})

test('one that kept the old state is confirmed or undone once, by a worker', async () => {
  const { uuid } = (await restore(bodyOf())).body
  await producer.catalog.query(
    `UPDATE service_instance_restores SET state = 'COMPLETED', success = 'SUCCESS', kept = true WHERE restore_id = $1`,
    [uuid],
  )
  const act = (verb: string) =>
    producer.ask('POST', `${RESTORES}${uuid}/${verb}/`, { token: tokens.operator, body: {} })
  expect((await act('undo')).body).toMatchObject({
    service_instance_restores: [
      { state: 'COMPLETED', success: 'SUCCESS', action: 'undo', action_state: 'QUEUED', kept_until_confirmed: true },
    ],
  })
  expect((await act('confirm')).body).toMatchObject({ code: 'CONFLICT' })
})

test('restores are listed by their backup, and by an environment that they go out of or into', async () => {
  const count = async (query: string) => (await producer.ask('GET', `${RESTORES}?${query}`)).body.count
  const [row] = await producer.catalog.query<{ live: string; other: string }>(
    `SELECT (SELECT environment_id FROM service_instances WHERE id = $1) AS live,
            (SELECT environment_id FROM service_instances WHERE id = $2) AS other`,
    [live['DATABASE'], other['DATABASE']],
  )
  const all = await count('')
  expect(await count(`backup=${backup}`)).toBe(all)
  expect(await count(`environment=${row?.live ?? ''}`)).toBe(all)
  expect(await count(`environment=${row?.other ?? ''}`)).toBe(1)
})

test.each([
  [`state = 'RUNNING'`, 409],
  [`state = 'COMPLETED', success = 'FAILURE', ended_at = now(), may_have_leftovers = true`, 409],
  [`state = 'COMPLETED', success = 'FAILURE', ended_at = now(), may_have_leftovers = false`, 200],
])('the connection of a folder stays what it is while a restore into it is unsettled: %s', async (change, status) => {
  const made = await restore(bodyOf({ service_instance: other.STORAGE }, { confirm: 'shop/test' }, 'STORAGE'))
  expect(made.status).toBe(201)
  await producer.catalog.query(`UPDATE service_instance_restores SET ${change} WHERE restore_id = $1`, [made.body.uuid])
  const patched = await producer.ask('PATCH', `/apps/v3/service-instances/${other.STORAGE ?? ''}/`, {
    body: { connection: { url: `file://${producer.place.mediaRoot}/elsewhere` } },
  })
  expect(patched.status).toBe(status)
  if (status === 409) expect(patched.body).toMatchObject({ code: 'CONFLICT' })
  await producer.catalog.query('DELETE FROM service_instance_restores WHERE restore_id = $1', [made.body.uuid])
})
