import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { beforeAll, expect, test } from 'vitest'
import { CLIENT_SCHEMA, clientTypes } from '../../scripts/client-types.ts'
import { takeKey } from '../../shared/catalog/idempotency.ts'
import { startTestCoffer } from '../support/coffer.ts'
import { fillFolder } from '../support/sample-data.ts'
import { until } from '../support/until.ts'
import { startProducerOf } from '../support/uploads.ts'

const run = promisify(execFile)
const CHECKOUT = join(import.meta.dirname, '../..')
const BUILT = pathToFileURL(join(CHECKOUT, 'client/dist/index.js')).href

beforeAll(async () => {
  await run(process.execPath, [join(CHECKOUT, 'node_modules/typescript/bin/tsc'), '-p', 'client'], { cwd: CHECKOUT })
})

/** What a program prints that has the built client, run by plain Node: nothing strips types for it. */
async function program(text: string, env: Record<string, string>): Promise<unknown> {
  const source = `import { Coffer, CofferProblem, CofferUnreachable } from '${BUILT}'\nconst { URL_OF_COFFER: url, TOKEN: token } = process.env\n${text}`
  const args = ['--no-experimental-strip-types', '--input-type=module', '--eval', source]
  const { stdout } = await run(process.execPath, args, { env, cwd: '/' })
  return JSON.parse(stdout)
}

test('the types of the client are those of the document', async () => {
  expect(await readFile(CLIENT_SCHEMA, 'utf8')).toBe(await clientTypes())
})

test('a program backs up by the slugs, waits by events, and gets the latest, its links and a restore', async () => {
  await using coffer = await startTestCoffer()
  await using producer = await startProducerOf(coffer)
  const media = await coffer.mediaRoot('shop')
  await fillFolder(media.path, 5)
  const service = await coffer.addService('STORAGE', media.url)
  await coffer.worker()
  const done = await program(
    `const coffer = new Coffer({ url, token })
    const asked = []
    const watched = new Coffer({ url, token, fetch: (at, init) => (asked.push(String(at)), fetch(at, init)) })
    const job = await watched.backup({ environment: 'shop/live', notes: 'by a program', idempotencyKey: 'once' })
    const again = await coffer.backup({ environment: 'shop/live', notes: 'by a program', idempotencyKey: 'once' })
    let seen = 0
    const ended = await job.wait({ onProgress: () => seen++ })
    const latest = await coffer.latest('shop/live')
    const links = await coffer.download(job.uuid)
    const bytes = (await (await fetch(links[0].download_url)).arrayBuffer()).byteLength
    const restore = await coffer.restore({ backup: job.uuid, confirm: 'shop/live',
      service_instance_restores: [{ service_instance_backup: ended.service_instance_backups[0] }] })
    const restored = await restore.wait({ signal: AbortSignal.timeout(60_000) })
    const byPolls = asked.filter((address) => address.endsWith(job.uuid + '/')).length
    console.log(JSON.stringify({ same: again.uuid === job.uuid, ended, seen, latest, size: links[0].size, bytes, restored, byPolls }))`,
    { URL_OF_COFFER: producer.url, TOKEN: producer.adminToken },
  )
  expect(done).toMatchObject({
    same: true,
    ended: { success: 'SUCCESS', state: 'COMPLETED', notes: 'by a program' },
    latest: { service_instances: [{ service_instance: service }] },
    restored: { success: 'SUCCESS', finished: true },
    byPolls: 0,
  })
  const { size, bytes, seen, latest, ended } = done as Done
  expect(bytes).toBe(size)
  expect(seen).toBeGreaterThan(0)
  expect(latest.backup).toBe(ended.uuid)
})

interface Done {
  size: number
  bytes: number
  seen: number
  latest: { backup: string }
  ended: { uuid: string }
}

test('where events do not come through it asks instead, and sends a lost creation again with its key', async () => {
  await using coffer = await startTestCoffer()
  await using producer = await startProducerOf(coffer)
  const media = await coffer.mediaRoot('shop')
  await fillFolder(media.path, 5)
  await coffer.addService('STORAGE', media.url)
  await coffer.worker()
  const done = await program(
    `let lost = 0
    const coffer = new Coffer({ url, token, fetch: async (at, init) => {
      if (String(at).endsWith('/events/')) throw new TypeError('no stream')
      const answer = await fetch(at, init)
      if (init.method === 'POST' && lost++ === 0) throw new TypeError('the answer was lost')
      return answer
    } })
    const ended = await (await coffer.backup({ environment: 'shop/live' })).wait()
    console.log(JSON.stringify({ lost, ended }))`,
    { URL_OF_COFFER: producer.url, TOKEN: producer.adminToken },
  )
  expect(done).toMatchObject({ lost: 2, ended: { success: 'SUCCESS' } })
  expect(await coffer.catalog.query('SELECT id FROM backups')).toHaveLength(1)
})

test('a creation whose key is still busy with the first request is sent again until that has ended', async () => {
  await using coffer = await startTestCoffer()
  await using producer = await startProducerOf(coffer)
  await coffer.addService('STORAGE', (await coffer.mediaRoot('shop')).url)
  const making = await coffer.catalog.transaction(async (tx) => {
    const [token] = await coffer.catalog.query<{ id: string }>('SELECT id FROM tokens WHERE name = $1', [
      'bootstrap admin',
    ])
    expect(await takeKey(tx, { tokenId: token?.id ?? '', key: 'once' })).toBe(true)
    const made = program(
      `const job = await new Coffer({ url, token }).backup({ environment: 'shop/live', idempotencyKey: 'once' })
      console.log(JSON.stringify(job.uuid))`,
      { URL_OF_COFFER: producer.url, TOKEN: producer.adminToken },
    )
    const refused = `SELECT id FROM audit WHERE code = 'IDEMPOTENCY_KEY_BUSY'`
    await Promise.race([made, until(async () => (await coffer.catalog.query(refused)).length > 1)])
    return { made }
  })
  const id = await making.made
  expect(await coffer.catalog.query('SELECT id FROM backups')).toEqual([{ id }])
})

test('refusals are errors with a code, and what is no Coffer is told as such', async () => {
  await using coffer = await startTestCoffer()
  await using producer = await startProducerOf(coffer)
  const codes = await program(
    `const codeOf = (work) => work.then(() => 'none', (error) => [error instanceof CofferProblem, error instanceof CofferUnreachable, error.code])
    console.log(JSON.stringify([
      await codeOf(new Coffer({ url, token: 'wrong' }).latest('shop/live')),
      await codeOf(new Coffer({ url, token }).backup({ environment: 'shop/nowhere' })),
      await codeOf(new Coffer({ url, token }).backup({ environment: 'shop/live', services: ['x'] })),
      await codeOf(new Coffer({ url: 'http://127.0.0.1:1', token }).latest('shop/live')),
      await new Coffer({ url, token }).latest('shop/live'),
    ]))`,
    { URL_OF_COFFER: producer.url, TOKEN: producer.adminToken },
  )
  expect(codes).toEqual([
    [true, false, 'UNAUTHENTICATED'],
    [true, false, 'NOT_FOUND'],
    [true, false, 'REQUEST_INVALID'],
    [false, true, 'PRODUCER_UNREACHABLE'],
    null,
  ])
})

test('a text with line separators of other kinds is one event', async () => {
  const told = JSON.stringify({ notes: 'a\u2028b\u2029c' })
  const read = await program(
    `import('${BUILT.replace('index.js', 'follow.js')}').then(async ({ eventsOf }) => {
      const body = new Response('retry: 1\\n\\nevent: progress\\ndata: ' + ${JSON.stringify(told)} + '\\n\\n').body
      console.log(JSON.stringify(await Array.fromAsync(eventsOf(body))))
    })`,
    {},
  )
  expect(read).toEqual([{ event: 'progress', data: told }])
})
