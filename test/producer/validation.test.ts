import { randomUUID } from 'node:crypto'
import { mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestProducer, type TestProducer } from '../support/producer.ts'
import { expectProblem } from './problems.ts'

let producer: TestProducer
let env: string
beforeAll(async () => {
  producer = await startTestProducer()
  const { uuid: application } = (await post('applications', { slug: 'shop' })).body
  env = (await post('environments', { application, slug: 'live' })).body.uuid
})
afterAll(() => producer[Symbol.asyncDispose]())

const post = (resource: string, body: unknown) => producer.ask('POST', `/apps/v3/${resource}/`, { body })

const nobody = randomUUID()

test('all problems of a body come together, each with its field', async () => {
  const answer = await post('backups', {
    environment: 7,
    services: 'all',
    trigger: 'SCHEDULED',
    notes: 'x'.repeat(4097),
    scheduled_for_deletion_at: '2001-01-01T00:00:00Z',
    note: 'typo',
  })
  expectProblem(answer, 422, 'REQUEST_INVALID')
  expect(answer.body.errors).toEqual([
    { field: 'environment', message: 'must be a UUID' },
    { field: 'services', message: 'must be a list of UUIDs' },
    { field: 'trigger', message: 'must be MANUAL' },
    { field: 'notes', message: 'must be at most 4096 characters' },
    { field: 'scheduled_for_deletion_at', message: 'must be in the future' },
    { field: 'note', message: 'is not known here' },
  ])
})

test.each<[string, unknown, string, string]>([
  ['applications', {}, 'slug', 'must be text'],
  ['applications', { slug: 'Shop' }, 'slug', 'must be 1 to 63'],
  ['applications', { slug: '-a' }, 'slug', 'must be 1 to 63'],
  ['applications', { slug: 'a'.repeat(64) }, 'slug', 'must be 1 to 63'],
  ['applications', { slug: '../../etc' }, 'slug', 'must be 1 to 63'],
  ['applications', { slug: 'shop\n' }, 'slug', 'must be 1 to 63'],
  ['applications', { slug: 'a', name: 'a\nb' }, 'name', 'must not contain control characters'],
  ['environments', { application: 'x', slug: 'a', timezone: 'Mars/Olympus' }, 'timezone', 'must be an IANA time zone'],
  ['environments', { application: 'x', slug: 'a', timezone: '+01:00' }, 'timezone', 'must be an IANA time zone'],
  ['service-instances', { environment: nobody, type: 'QUEUE' }, 'type', 'must be DATABASE or STORAGE'],
  ['service-instances', { environment: nobody, type: 'DATABASE' }, 'connection', 'must be an object'],
  ['service-instances', { prefix: 'default' }, 'prefix', 'must be 1 to 32'],
  ['service-instances', { connection: { url: 'postgres://a@b/c', host: 'x' } }, 'connection.host', 'is not known here'],
  ['backups', { environment: nobody, notes: 'a\0b' }, 'notes', 'must not contain NUL'],
  [
    'backups',
    { environment: nobody, scheduled_for_deletion_at: '2099-01-01 00:00' },
    'scheduled_for_deletion_at',
    'must be a time with offset',
  ],
  ['backups', { environment: nobody, services: [1] }, 'services.0', 'must be a UUID'],
  [
    'backup-restores',
    { backup: nobody, service_instance_restores: [] },
    'service_instance_restores',
    'must have at least one',
  ],
  [
    'backup-downloads',
    { backup: nobody, service_instance_backups: [] },
    'service_instance_backups',
    'must have at least one',
  ],
])('POST %s with %j is refused for its field %s', async (resource, body, field, message) => {
  const answer = await post(resource, body)
  expectProblem(answer, 422, 'REQUEST_INVALID')
  expect(answer.body.errors.find((error) => error.field === field)?.message).toContain(message)
})

test.each([
  ['DATABASE', 'postgres://u:canary-4711@h/db?host=/var/run', 'CONNECTION_INVALID'],
  ['DATABASE', 'postgres://u:canary-4711@h/db?service=evil', 'CONNECTION_INVALID'],
  ['DATABASE', 'postgres://u:canary-4711@a,b/db', 'CONNECTION_INVALID'],
  ['DATABASE', 'postgres://u:canary-4711@/db', 'CONNECTION_INVALID'],
  ['DATABASE', 'mysql://u:canary-4711@h/db', 'CONNECTION_INVALID'],
  ['DATABASE', 'host=h password=canary-4711', 'CONNECTION_INVALID'],
  ['DATABASE', '--file=/etc/passwd', 'CONNECTION_INVALID'],
  ['STORAGE', 'file://otherhost/srv/media', 'CONNECTION_INVALID'],
  ['STORAGE', 's3://bucket/canary-4711', 'CONNECTION_INVALID'],
  ['STORAGE', 'file:///etc', 'CONNECTION_REFUSED_BY_POLICY'],
  ['STORAGE', 'file:///', 'CONNECTION_REFUSED_BY_POLICY'],
  ['STORAGE', 'file:///no/such/folder', 'CONNECTION_REFUSED_BY_POLICY'],
])('a %s connection to %s is refused at once, without repeating a password', async (type, url, code) => {
  const answer = await post('service-instances', { environment: env, type, connection: { url } })
  expectProblem(answer, 422, code)
  expect(answer.body.errors).toEqual([{ field: 'connection.url', message: answer.body.detail }])
  expect(answer.text).not.toContain('canary-4711')
})

test('a database may be called host=/--file= and is taken by that name', async () => {
  const url = 'postgres://u:p@127.0.0.1/host%3D%2Ftmp%20--file%3Dx'
  const answer = await post('service-instances', {
    environment: env,
    type: 'DATABASE',
    prefix: 'ODD',
    connection: { url },
  })
  expect(answer.status).toBe(201)
})

test('a media folder is refused outside the roots, at the data folder, at the store and through a symlink, and may be missing', async () => {
  const { mediaRoot, folder, storeFolder } = producer.place
  await mkdir(join(mediaRoot, 'shop'))
  await symlink('/etc', join(mediaRoot, 'leads-out'))
  const register = async (path: string, prefix: string) =>
    (
      await post('service-instances', {
        environment: env,
        type: 'STORAGE',
        prefix,
        connection: { url: pathToFileURL(path).href },
      })
    ).body
  for (const path of [
    folder,
    join(folder, 'data'),
    storeFolder,
    join(mediaRoot, 'leads-out'),
    join(mediaRoot, '..', 'data', 'missing'),
  ])
    expect(await register(path, 'X'), path).toMatchObject({ code: 'CONNECTION_REFUSED_BY_POLICY' })
  expect(await register(`${mediaRoot}-beside`, 'X')).toMatchObject({ code: 'CONNECTION_REFUSED_BY_POLICY' })
  expect(await register(join(mediaRoot, 'shop'), 'A')).toMatchObject({ prefix: 'A' })
  expect(await register(join(mediaRoot, 'only-on-a-worker'), 'B')).toMatchObject({ prefix: 'B' })
})
