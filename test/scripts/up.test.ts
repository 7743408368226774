import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { isRunning } from '../../scripts/services/processes.ts'
import { readRunRecord, readServerSettings } from '../../scripts/services/run-record.ts'
import { until } from '../support/until.ts'

const CHECKOUT = join(import.meta.dirname, '../..')
let dataDir: string
let running: ChildProcess

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'coffer-up-'))
  running = startUp()
  await untilLine(running, 'Ctrl-C stops everything.')
})

afterAll(async () => {
  if (running.exitCode === null) {
    running.kill('SIGTERM')
    await once(running, 'exit')
  }
  rmSync(dataDir, { recursive: true, force: true })
})

function startUp(): ChildProcess {
  const env = { PATH: process.env.PATH, COFFER_DATA_DIR: dataDir }
  const args = [join(CHECKOUT, 'scripts/up.ts'), '--workers', '1']
  return spawn(process.execPath, args, { cwd: CHECKOUT, env, stdio: ['ignore', 'pipe', 'pipe'] })
}

async function untilLine(child: ChildProcess, text: string): Promise<void> {
  if (child.stdout === null) throw new Error('no output')
  const said: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    said.push(line)
    if (line.includes(text)) {
      child.stdout.resume()
      return
    }
  }
  throw new Error(`ended without "${text}": ${said.join('\n')}`)
}

test('the address of run.json is answered, and to the token that lies in the data folder', async () => {
  const { url } = readRunRecord(dataDir)
  const token = readFileSync(join(dataDir, 'admin-token'), 'utf8').trim()
  const answer = await fetch(`${url}/iam/v3/me/`, { headers: { authorization: `Token ${token}` } })
  expect(answer.status).toBe(200)
  const refused = await fetch(`${url}/iam/v3/me/`, { headers: { authorization: 'Token wrong' } })
  expect(refused.status).toBe(401)
})

test('every secret is readable by its owner only', () => {
  const secrets = ['admin-token', 'secret-key', 'age-identity.txt', 'servers.json', 'run.json']
  expect(secrets.filter((name) => (statSync(join(dataDir, name)).mode & 0o077) !== 0)).toEqual([])
})

test('a second one in the same data folder says where the first is, fails, and leaves it alone', async () => {
  const second = startUp()
  let said = ''
  second.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const [code] = (await once(second, 'close')) as [number]
  const { url, processes } = readRunRecord(dataDir)
  expect({ code, said }).toEqual({ code: 1, said: expect.stringContaining(`already runs in`) as string })
  expect(said).toContain(url)
  expect(Object.values(processes).map(isRunning)).toEqual([true, true, true, true])
})

test('servers that are killed are started again where producer and workers look for them', async () => {
  const before = readRunRecord(dataDir)
  const settings = readServerSettings(dataDir)
  const servers = ['redis', 'postgres'] as const
  for (const name of servers) process.kill(before.processes[name]?.pid ?? 0, 'SIGKILL')
  await until(() => {
    const now = readRunRecord(dataDir).processes
    return Promise.resolve(servers.every((name) => now[name] && now[name].pid !== before.processes[name]?.pid))
  })
  await until(async () => (await fetch(`${before.url}/readyz`)).ok)
  expect(readServerSettings(dataDir)).toEqual(settings)
  const now = readRunRecord(dataDir).processes
  expect([now['producer'], now['worker-1']]).toEqual([before.processes['producer'], before.processes['worker-1']])
})

test('a SIGTERM stops producer, workers and servers, and leaves the data', async () => {
  const marks = Object.values(readRunRecord(dataDir).processes)
  running.kill('SIGTERM')
  expect(await once(running, 'exit')).toEqual([0, null])
  expect(marks.map(isRunning)).toEqual([false, false, false, false])
  expect(existsSync(join(dataDir, 'run.json'))).toBe(false)
  expect(readdirSync(dataDir)).toEqual(
    expect.arrayContaining(['admin-token', 'age-identity.txt', 'media', 'secret-key', 'store']),
  )
})
