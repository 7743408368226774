import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { onTestFinished, expect, test } from 'vitest'
import { askProducer, createTestPlace } from '../support/producer.ts'

const MAIN = join(import.meta.dirname, '../../producer/main.ts')

interface Run {
  exit: Promise<[code: number | null, signal: string | null]>
  /** The address it says it listens on. */
  listening: Promise<string>
  kill: (signal: NodeJS.Signals) => boolean
  stdout: () => string
  stderr: () => string
}

function run(env: Record<string, string>): Run {
  const child = spawn(process.execPath, [MAIN], { env: { PATH: process.env.PATH, ...env } })
  onTestFinished(() => void child.kill('SIGKILL'))
  const out = { stdout: '', stderr: '' }
  const listening = new Promise<string>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => {
      out.stdout += chunk.toString()
      const url = /"url":"([^"]+)","msg":"listening"/.exec(out.stdout)?.[1]
      if (url !== undefined) resolve(url)
    })
  })
  child.stderr.on('data', (chunk: Buffer) => (out.stderr += chunk.toString()))
  return {
    exit: once(child, 'close') as Run['exit'],
    listening,
    kill: (signal) => child.kill(signal),
    stdout: () => out.stdout,
    stderr: () => out.stderr,
  }
}

test('a configuration with problems is refused with all of them, and none of the values', async () => {
  const started = run({ COFFER_DATABASE_URL: 'canary-4711', PORT: '70000' })
  expect((await started.exit)[0]).toBe(1)
  expect(started.stderr()).toContain('COFFER_DATABASE_URL: expected an address')
  expect(started.stderr()).toContain('COFFER_SECRET_KEY: is missing')
  expect(started.stderr()).toContain('PORT: expected')
  expect(started.stderr()).not.toMatch(/canary|^\s+at /m)
})

test('SIGTERM lets a request under way end, then it exits with 0 and has logged no secret', async () => {
  await using place = await createTestPlace({ COFFER_LOG_LEVEL: 'trace' })
  const started = run(place.env)
  const url = await started.listening
  const ask = (method: string, path: string, body?: unknown) =>
    askProducer(url, place.adminToken, method, path, body === undefined ? {} : { body })
  const application = (await ask('POST', '/apps/v3/applications/', { slug: 'shop' })).body.uuid
  const environment = (await ask('POST', '/apps/v3/environments/', { application, slug: 'live' })).body.uuid
  const connection = { url: 'postgres://u:canary-4711@127.0.0.1:1/shop' }
  expect((await ask('POST', '/apps/v3/service-instances/', { environment, type: 'DATABASE', connection })).status).toBe(
    201,
  )
  expect(
    (
      await ask('POST', '/apps/v3/service-instances/', {
        environment,
        type: 'DATABASE',
        prefix: 'B',
        connection: { url: 'postgres://u:canary-4711@h/d?host=x' },
      })
    ).status,
  ).toBe(422)
  expect((await ask('POST', '/apps/v3/applications/', '{"url": "postgres://u:canary-4711@h')).status).toBe(400)

  const slow = fetch(new URL('/apps/v3/backups/', url), {
    method: 'POST',
    headers: { authorization: `Token ${place.adminToken}`, 'content-type': 'application/json' },
    body: new ReadableStream({
      async start(body) {
        body.enqueue(Buffer.from('{"environment": '))
        await new Promise<void>((resolve) => {
          const seen = setInterval(() => {
            if (!started.stdout().includes('"stopping"')) return
            clearInterval(seen)
            resolve()
          }, 10)
        })
        body.enqueue(Buffer.from(`"${environment}"}`))
        body.close()
      },
    }),
    duplex: 'half',
  })
  // The first half is on its way once another request has been answered on a connection opened after it.
  await ask('GET', '/readyz')
  started.kill('SIGTERM')
  expect((await slow).status).toBe(201)
  const answeredAt = performance.now()
  expect(await started.exit).toEqual([0, null])
  expect(performance.now() - answeredAt).toBeLessThan(5_000)
  expect(started.stdout()).toContain('"msg":"stopped"')
  expect(started.stdout() + started.stderr()).not.toMatch(/canary-4711/)
  expect(started.stdout() + started.stderr()).not.toContain(place.adminToken)
})

test('a second signal ends it at once, whatever is under way', async () => {
  await using place = await createTestPlace()
  const started = run(place.env)
  const url = new URL(await started.listening)
  const half = connect(Number(url.port), url.hostname)
  half.on('error', () => undefined)
  half.write('POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n')
  await askProducer(url.href, '', 'GET', '/healthz', { token: null })
  started.kill('SIGTERM')
  await expect.poll(started.stdout).toContain('"stopping"')
  started.kill('SIGTERM')
  expect(await started.exit).toEqual([1, null])
  half.destroy()
})
