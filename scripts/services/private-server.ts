import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { CofferError } from '../../shared/errors.ts'
import type { ServerUser } from './folders.ts'
import { endProcess, isRunning, markProcess, type ProcessMark } from './processes.ts'
import { readRunRecord, updateRunRecord } from './run-record.ts'

/** Where private servers live and how they are seen. */
export interface ServerPlace {
  /** Holds run.json and servers.json. */
  dataDir: string
  /** Holds the servers' own folders; differs from `dataDir` when their user cannot reach that. */
  folder: string
  user: ServerUser | null
  /** Test data is thrown away: it is written without waiting for the disk and stopped without farewell. */
  disposable: boolean
  log: (line: string) => void
}

export interface RunningServer {
  /** Of a private PostgreSQL: for drills. */
  drillUrl?: string
  url: string
  stop(): Promise<void>
  /**
   * Starts a private server again if it has died.
   * @throws CofferError when it does not start, or only at another address than its clients know
   */
  revive?(): Promise<void>
}

const START_TIMEOUT_MS = 60_000
const RETRY_PAUSE_MS = 300

export function newPassword(): string {
  return randomBytes(24).toString('base64url')
}

/** A port of the loopback that nobody listens on now: the wished one if it can be had. */
export function freePort(wished = 0): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', (error) => (wished === 0 ? reject(error) : resolve(freePort())))
    probe.listen(wished, '127.0.0.1', () => {
      const address = probe.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      probe.close(() => resolve(port))
    })
  })
}

/** The port for another try after a start that failed: the same, unless a stranger sits there. What a killed server left may need a moment to go. */
export async function portForRetry(port: number): Promise<number> {
  await delay(RETRY_PAUSE_MS)
  return freePort(port)
}

export interface Launch {
  command: string
  argv0?: string
  args: readonly string[]
  user: ServerUser | null
  logFile: string
  /** Called as soon as the process exists: whoever is killed from here on leaves a trace of it. */
  record: (mark: ProcessMark) => void
  /** Whether the server answers now, with our password. */
  answers: () => Promise<boolean>
}

/**
 * Starts a server in a session of its own, so that a Ctrl-C in the terminal does not reach it before its clients are done.
 * Resolves when it answers; null when it ended by itself (the log says why).
 */
export async function launch(server: Launch): Promise<ProcessMark | null> {
  const log = openSync(server.logFile, 'w', 0o600)
  const child = spawn(server.command, server.args, {
    detached: true,
    cwd: '/',
    env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
    stdio: ['ignore', log, log],
    argv0: server.argv0 ?? server.command,
    ...(server.user ?? {}),
  })
  closeSync(log)
  const ended = new Promise<true>((resolve) =>
    child.once('exit', () => resolve(true)).once('error', () => resolve(true)),
  )
  child.unref()
  const mark = child.pid === undefined ? null : markProcess(child.pid)
  if (mark === null) return null
  server.record(mark)
  const deadline = Date.now() + START_TIMEOUT_MS
  while (Date.now() < deadline) {
    if (await server.answers()) return mark
    if (await Promise.race([ended, delay(30, false)])) return null
  }
  child.kill('SIGKILL')
  throw new CofferError('CONFIG_INVALID', `${server.command} did not answer within ${START_TIMEOUT_MS / 1000} s`)
}

/** The last lines of a server's own log, for the message of a start that failed. */
export function logTail(logFile: string): string {
  return readFileSync(logFile, 'utf8').trim().split('\n').slice(-5).join(' | ')
}

export function recordServer(place: ServerPlace, name: string, mark: ProcessMark): void {
  updateRunRecord(place.dataDir, (run) => ({ ...run, processes: { ...run.processes, [name]: mark } }))
}

/** Starts the recorded server again if its process is gone; those who use it know no other address than `url`. */
export async function reviveServer(
  place: ServerPlace,
  name: string,
  url: string,
  start: () => Promise<RunningServer>,
): Promise<void> {
  const mark = readRunRecord(place.dataDir).processes[name]
  if (mark !== undefined && isRunning(mark)) return
  place.log(`${name} has died: starting it again`)
  const revived = await start()
  if (revived.url !== url) throw new CofferError('INTERNAL', `${name} died, and another program has taken its port`)
  place.log(`${name} runs again`)
}

/** Ends the server that the run record names, if it still runs, and strikes it out. May run twice. */
export async function endRecordedServer(
  dataDir: string,
  name: string,
  signals: readonly [NodeJS.Signals, number][],
): Promise<void> {
  const mark = readRunRecord(dataDir).processes[name]
  if (mark === undefined) return
  await endProcess(mark, signals)
  updateRunRecord(dataDir, ({ processes, ...run }) => ({
    ...run,
    processes: Object.fromEntries(Object.entries(processes).filter(([other]) => other !== name)),
  }))
}
