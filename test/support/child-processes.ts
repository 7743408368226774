import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

export interface RunningProgram {
  pid: number
  /** Arguments and environment as any process of the same user can read them. */
  visible: string
  environment: Record<string, string>
}

/** The programs of this name that this process has started and that still run (Linux). */
export function runningChildren(program: string): RunningProgram[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => {
      try {
        const parent = Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
        if (parent !== process.pid || !readlinkSync(`/proc/${pid}/exe`).endsWith(`/${program}`)) return []
        const environ = readFileSync(`/proc/${pid}/environ`, 'utf8')
        const visible = readFileSync(`/proc/${pid}/cmdline`, 'utf8') + environ
        const environment: Record<string, string> = {}
        for (const pair of environ.split('\0').filter(Boolean)) {
          const at = pair.indexOf('=')
          environment[pair.slice(0, at)] = pair.slice(at + 1)
        }
        return [{ pid: Number(pid), visible, environment }]
      } catch {
        return []
      }
    })
}
