import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { WORKER_FLAGS } from '../../workers/node-flags.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const KILL_AT = new URL('./kill-at.ts', import.meta.url).href

export interface LogLine {
  msg: string
  [field: string]: unknown
}

/** A real process of Coffer under test, with its log to wait on. */
export interface CofferProcess extends AsyncDisposable {
  readonly child: ChildProcess
  readonly lines: readonly LogLine[]
  /** Resolves with the first line, past or to come, for which the predicate holds; rejects when the process ends without one. */
  line(wanted: (line: LogLine) => boolean): Promise<LogLine>
  /** Everything it printed. */
  output(): string
  /** Highest resident set so far, in MiB. */
  peakRssMiB(): Promise<number>
  /** SIGTERM, then waits for the end. @returns the exit code */
  stop(): Promise<number | null>
  kill(signal: NodeJS.Signals): void
  readonly ended: Promise<void>
}

export interface ProcessOptions {
  env: Record<string, string>
  /** `<step>` or `<step>#<n>`: kills itself when the step is reached for the n-th time. */
  killAt?: string
}

export function startProcess(script: string, { env, killAt }: ProcessOptions): CofferProcess {
  const preload = killAt === undefined ? [] : ['--import', KILL_AT]
  const flags = script.startsWith('workers/') ? WORKER_FLAGS : []
  const child = spawn(process.execPath, [...flags, ...preload, script], {
    cwd: ROOT,
    env: { PATH: process.env.PATH ?? '', ...env, ...(killAt === undefined ? {} : { COFFER_TEST_KILL_AT: killAt }) },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const lines: LogLine[] = []
  const text: string[] = []
  const waiting = new Set<() => void>()
  const onLine = (line: string) => {
    text.push(line)
    lines.push(parseLine(line))
    for (const wake of waiting) wake()
  }
  for (const stream of [child.stdout, child.stderr]) createInterface(stream).on('line', onLine)
  const ended = once(child, 'close').then(() => {
    for (const wake of waiting) wake()
  })
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null

  return {
    child,
    lines,
    ended,
    line(wanted) {
      return new Promise((resolve, reject) => {
        const look = () => {
          const found = lines.find(wanted)
          if (!found && !hasEnded()) return
          waiting.delete(look)
          if (found) resolve(found)
          else reject(new Error(`${script} ended without the awaited line; it printed:\n${text.join('\n')}`))
        }
        waiting.add(look)
        look()
      })
    },
    output: () => text.join('\n'),
    async peakRssMiB() {
      const status = await readFile(`/proc/${child.pid}/status`, 'utf8')
      return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024
    },
    kill: (signal) => void child.kill(signal),
    async stop() {
      if (!hasEnded()) child.kill('SIGTERM')
      await ended
      return child.exitCode
    },
    async [Symbol.asyncDispose]() {
      if (!hasEnded()) child.kill('SIGKILL')
      await ended
    },
  }
}

function parseLine(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine
  } catch {
    return { msg: line }
  }
}
