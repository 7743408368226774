import { readFileSync } from 'node:fs'

const { scripts } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  scripts: { worker: string }
}

/**
 * The flags by which `npm run worker` has Node run a worker. Streams make garbage by the chunk, outside of V8's heap: a small young
 * generation is collected before it grows, and an old one that need not begin small spares a whole collection every 30 MB.
 */
export const WORKER_FLAGS: readonly string[] = scripts.worker.split(' ').filter((word) => word.startsWith('--'))
