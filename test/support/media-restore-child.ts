import { spawnSync } from 'node:child_process'
import { subscribe } from 'node:diagnostics_channel'
import { writeSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { mediaRestorer } from '../../workers/restore/restore-media.ts'
import { partOf, type StoredMedia } from './media-restores.ts'

const self = fileURLToPath(import.meta.url)

export interface ChildRestore {
  verb: 'restore' | 'recover'
  media: StoredMedia
  root: string
  id: string
  paths?: string[]
  /** Kills itself (SIGKILL) at the n-th step, from 1; 0: never. */
  killAt?: number
  /** A folder of the living tree on which something is mounted once the journal is committed, so that moving it fails. */
  mountOn?: string
}

/** In a process of its own. `steps` are those it reached, the last of them the one at which it was killed. */
export function restoreInChild(restore: ChildRestore): { steps: string[]; wasKilled: boolean; output: string } {
  const env = { ...process.env, NODE_COMPILE_CACHE: `${restore.media.folder}/compile-cache` }
  const child = spawnSync(process.execPath, [self], { input: JSON.stringify(restore), encoding: 'utf8', env })
  const steps = child.stdout.split('\n').filter((line) => line.startsWith('media-'))
  return { steps, wasKilled: child.signal === 'SIGKILL', output: child.stdout + child.stderr }
}

if (process.argv[1] === self) {
  const text: Buffer[] = []
  for await (const chunk of process.stdin) text.push(chunk as Buffer)
  const { verb, media, killAt = 0, mountOn, ...options } = JSON.parse(Buffer.concat(text).toString()) as ChildRestore
  let count = 0
  subscribe('coffer:step', (message) => {
    const { step } = message as { step: string }
    if (!step.startsWith('media-')) return
    writeSync(1, `${step}\n`)
    if (step === 'media-journal-committed' && mountOn) spawnSync('mount', ['-t', 'tmpfs', 'none', mountOn])
    if (++count === killAt) process.kill(process.pid, 'SIGKILL')
  })
  const part = partOf(media, options)
  if (verb === 'recover') writeSync(1, `${await mediaRestorer.recover(part)}\n`)
  else await mediaRestorer.restore(part, await mediaRestorer.preflight(part))
  await mediaRestorer.forget(part, [part.id])
}
