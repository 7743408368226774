import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { subscribe } from 'node:diagnostics_channel'
import { readFileSync, writeSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { mediaRestorer } from '../../workers/restore/restore-media.ts'
import { partOf, type StoredMedia } from './media-restores.ts'
import { until } from './until.ts'

const self = fileURLToPath(import.meta.url)

export interface ChildRestore {
  verb: 'restore' | 'recover'
  media: StoredMedia
  root: string
  id: string
  paths?: string[]
  /** Kills itself (SIGKILL) at the n-th step, from 1; 0: never. */
  killAt?: number
  /** Stops itself (SIGSTOP) when it reaches a step for the n-th time: `step#n`. */
  stopAt?: string[]
  /** A folder of the living tree on which something is mounted once the journal is committed, so that moving it fails. */
  mountOn?: string
}

const envOf = ({ media }: ChildRestore) => ({ ...process.env, NODE_COMPILE_CACHE: `${media.folder}/compile-cache` })

/** In a process of its own. `steps` are those it reached, the last of them the one at which it was killed. */
export function restoreInChild(restore: ChildRestore): { steps: string[]; wasKilled: boolean; output: string } {
  const input = JSON.stringify(restore)
  const child = spawnSync(process.execPath, [self], { input, encoding: 'utf8', env: envOf(restore) })
  const steps = child.stdout.split('\n').filter((line) => line.startsWith('media-'))
  return { steps, wasKilled: child.signal === 'SIGKILL', output: child.stdout + child.stderr }
}

/** The same, without waiting for it: a worker that freezes, and thaws when it is told to go on. */
export function startInChild(restore: ChildRestore) {
  const child = spawn(process.execPath, [self], { env: envOf(restore) })
  const ended = once(child, 'close')
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (output += data.toString()))
  child.stdin.end(JSON.stringify(restore))
  const isFrozen = () =>
    readFileSync(`/proc/${String(child.pid)}/stat`, 'utf8')
      .split(') ')[1]
      ?.startsWith('T')
  return {
    /** Resolves when it has stopped itself at one of its `stopAt`. */
    frozenAt: (stop: string) =>
      until(() => Promise.resolve(output.trimEnd().endsWith(stop.replace(/#.*/, '')) && isFrozen())),
    goOn: () => void child.kill('SIGCONT'),
    /** Resolves with what it has said. */
    ended: async () => {
      await ended
      return output
    },
    [Symbol.dispose]: () => void child.kill('SIGKILL'),
  }
}

if (process.argv[1] === self) {
  const text: Buffer[] = []
  for await (const chunk of process.stdin) text.push(chunk as Buffer)
  const {
    verb,
    media,
    killAt = 0,
    stopAt = [],
    mountOn,
    ...options
  } = JSON.parse(Buffer.concat(text).toString()) as ChildRestore
  let count = 0
  const seen = new Map<string, number>()
  subscribe('coffer:step', (message) => {
    const { step } = message as { step: string }
    if (!step.startsWith('media-')) return
    writeSync(1, `${step}\n`)
    if (step === 'media-journal-committed' && mountOn) spawnSync('mount', ['-t', 'tmpfs', 'none', mountOn])
    if (++count === killAt) process.kill(process.pid, 'SIGKILL')
    seen.set(step, (seen.get(step) ?? 0) + 1)
    if (stopAt.includes(`${step}#${seen.get(step) ?? 0}`)) process.kill(process.pid, 'SIGSTOP')
  })
  const part = partOf(media, options)
  if (verb === 'recover') writeSync(1, `${await mediaRestorer.recover(part)}\n`)
  else await mediaRestorer.restore(part, await mediaRestorer.preflight(part))
  await mediaRestorer.forget(part, [part.id])
}
