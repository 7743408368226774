import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/** A process that can be recognised later: the pid alone may have been given to another one since. */
export interface ProcessMark {
  pid: number
  startedAt: string
}

/** The mark of a live process; null when no such process runs (a zombie does not). */
export function markProcess(pid: number): ProcessMark | null {
  const startedAt = process.platform === 'linux' ? startOnLinux(pid) : startByPs(pid)
  return startedAt === null ? null : { pid, startedAt }
}

export function isRunning(mark: ProcessMark): boolean {
  return markProcess(mark.pid)?.startedAt === mark.startedAt
}

/** Sends each signal in turn, waiting its grace for the process to go. Resolves when it is gone; touches no other process. */
export async function endProcess(mark: ProcessMark, signals: readonly [NodeJS.Signals, number][]): Promise<void> {
  for (const [signal, graceMs] of signals) {
    if (!isRunning(mark)) return
    process.kill(mark.pid, signal)
    const deadline = Date.now() + graceMs
    while (isRunning(mark) && Date.now() < deadline) await delay(20)
  }
  if (isRunning(mark)) throw new Error(`process ${mark.pid} survived ${signals.map(([name]) => name).join(', ')}`)
}

function startOnLinux(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name, in parentheses, may hold spaces and parentheses: the fields are counted from behind it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [state, startTicks] = [fields[0], fields[19]]
    if (state === undefined || startTicks === undefined || state === 'Z' || state === 'X') return null
    return `${bootId()}-${startTicks}`
  } catch {
    return null
  }
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').slice(0, 8)
}

function startByPs(pid: number): string | null {
  const { status, stdout } = spawnSync('ps', ['-o', 'state=,lstart=', '-p', String(pid)], { encoding: 'utf8' })
  if (status !== 0 || stdout.trim().startsWith('Z')) return null
  // The state itself changes while the process runs.
  return stdout.trim().split(/\s+/).slice(1).join('-')
}
