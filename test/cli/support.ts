import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { onTestFinished } from 'vitest'
import { Api } from '../../cli/api.ts'
import { runCommand } from '../../cli/program.ts'

const CHECKOUT = join(import.meta.dirname, '../..')
export const TOKEN = 'a-token-of-a-test'

/** A server that does what the test says, on a free port until the test ends: for what no healthy producer does. */
export async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

export function apiOf(url: string, signal = new AbortController().signal): Api {
  return new Api({ url: new URL(url), urlFrom: 'COFFER_URL', token: TOKEN, tokenFrom: 'COFFER_TOKEN' }, signal)
}

/** An address of this machine where nobody listens. */
export async function deadUrl(): Promise<string> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return `http://127.0.0.1:${port}/`
}

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'coffer-cli-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export interface Ended {
  code: number | null
  stdout: string
  stderr: string
}

/** Starts the real command in a process of its own. */
export function startCoffer(
  args: readonly string[],
  env: Record<string, string>,
  cwd: string,
): ChildProcess & { ended: Promise<Ended> } {
  const child = spawn(process.execPath, [join(CHECKOUT, 'cli/main.ts'), ...args], { cwd, env, stdio: 'pipe' })
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve))
  const ended = Promise.all([closed, text(child.stdout), text(child.stderr)]).then(([code, stdout, stderr]) => ({
    code,
    stdout,
    stderr,
  }))
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await closed
  })
  return Object.assign(child, { ended })
}

/** Runs the command in this process against `url` to its end, with `input` on stdin; `isTTY`: a person typed it. Without `url` nothing is set. */
export async function coffer(
  args: readonly string[],
  {
    url,
    token = TOKEN,
    cwd,
    input = '',
    isTTY = false,
    loginsFile = '/nowhere/logins.json',
  }: { url?: string; token?: string; cwd?: string; input?: string; isTTY?: boolean; loginsFile?: string },
): Promise<Ended> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const said = Promise.all([text(stdout), text(stderr)])
  const code = await runCommand(args, {
    surroundings: {
      env: url === undefined ? {} : { COFFER_URL: url, COFFER_TOKEN: token },
      checkout: CHECKOUT,
      cwd: cwd ?? (await temporaryFolder()),
      loginsFile,
    },
    stdin: Object.assign(Readable.from([input]), { isTTY }),
    stdout,
    stderr,
    signal: new AbortController().signal,
    now: () => performance.now(),
    version: '1.2.3',
    pollMs: 50,
  })
  stdout.end()
  stderr.end()
  const [out, err] = await said
  return { code, stdout: out, stderr: err }
}
