import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { CofferError } from '../../shared/errors.ts'
import { endProcess, markProcess, type ProcessMark } from '../services/processes.ts'

export interface Program {
  name: string
  /** Run by this very Node. */
  script: string
  nodeFlags?: readonly string[]
  /** Asked at every start: what it depends on may have changed since the last. */
  env: () => Promise<NodeJS.ProcessEnv>
  /** A line of its own output that says that it takes work. */
  isReadyLine: (line: string) => boolean
}

export interface Surroundings {
  cwd: string
  write: (line: string) => void
  /** Called with the mark of every process that is started. */
  record: (name: string, mark: ProcessMark) => void
  /** Aborted: end what runs without waiting for it. */
  forced: AbortSignal
}

export interface Supervised {
  /** Rejects when the program was given up before it ever was ready. */
  ready: Promise<true>
  /** Rejects when it is given up; never resolves. */
  givenUp: Promise<never>
  stop(): Promise<void>
}

const DEATHS_IN_A_ROW = 5
const STEADY_MS = 60_000
const FIRST_PAUSE_MS = 500
/** Longer than COFFER_STOP_SECONDS, within which a worker puts its runs back. */
const STOP_GRACE_MS = 40_000

/** Runs a program and starts it again when it dies, with growing pauses; gives up after several deaths in a row. */
export function supervise(program: Program, surroundings: Surroundings): Supervised {
  const { write, forced } = surroundings
  const stopping = new AbortController()
  const ready = Promise.withResolvers<true>()
  const givenUp = Promise.withResolvers<never>()
  ready.promise.catch(() => undefined)
  givenUp.promise.catch(() => undefined)
  const isStopping = (): boolean => stopping.signal.aborted
  let current: ProcessMark | null = null

  const loop = async (): Promise<void> => {
    for (let deaths = 0; !stopping.signal.aborted;) {
      const startedAt = Date.now()
      const child = startChild(program, await program.env(), surroundings, () => ready.resolve(true))
      current = child.mark
      const end = await child.end
      current = null
      if (isStopping()) return
      deaths = Date.now() - startedAt > STEADY_MS ? 1 : deaths + 1
      if (deaths === DEATHS_IN_A_ROW) {
        throw new CofferError(
          'INTERNAL',
          `${program.name} died ${deaths} times in a row, at last ${end}; it is given up`,
        )
      }
      const pauseMs = FIRST_PAUSE_MS * 2 ** (deaths - 1)
      write(`${program.name} died ${end}: starting it again in ${pauseMs / 1000} s`)
      await delay(pauseMs, undefined, { signal: stopping.signal }).catch(() => undefined)
    }
  }
  const over = loop().catch((error: unknown) => {
    ready.reject(error)
    givenUp.reject(error)
  })

  return {
    ready: ready.promise,
    givenUp: givenUp.promise,
    async stop() {
      stopping.abort()
      if (current !== null) await endChild(current, forced)
      await over
    },
  }
}

function startChild(
  { name, script, nodeFlags = [], isReadyLine }: Program,
  env: NodeJS.ProcessEnv,
  { cwd, write, record }: Surroundings,
  onReady: () => void,
): { mark: ProcessMark | null; end: Promise<string> } {
  // In a group of its own: a Ctrl-C reaches only `up`, which ends everything in order.
  const child = spawn(process.execPath, [...nodeFlags, script], {
    cwd,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      write(`${name} | ${line}`)
      if (isReadyLine(line)) onReady()
    })
  }
  const mark = child.pid === undefined ? null : markProcess(child.pid)
  if (mark !== null) record(name, mark)
  const end = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`(${error.message})`))
    child.once('exit', (code, signal) => resolve(code === null ? `by ${String(signal)}` : `with code ${code}`))
  })
  return { mark, end }
}

async function endChild(mark: ProcessMark, forced: AbortSignal): Promise<void> {
  const kill = (): void => void endProcess(mark, [['SIGKILL', 5_000]]).catch(() => undefined)
  if (forced.aborted) kill()
  forced.addEventListener('abort', kill, { once: true })
  await endProcess(mark, [
    ['SIGTERM', STOP_GRACE_MS],
    ['SIGKILL', 5_000],
  ])
  forced.removeEventListener('abort', kill)
}
