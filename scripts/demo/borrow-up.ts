import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { readRunRecord } from '../services/run-record.ts'

/** Uses the `npm run up` that runs in this data folder; without one, starts it and stops it at the end. */
export async function borrowUp(checkout: string, dataDir: string, env: NodeJS.ProcessEnv): Promise<AsyncDisposable> {
  if (await isRunning(dataDir)) return { [Symbol.asyncDispose]: () => Promise.resolve() }
  process.stdout.write('Coffer does not run yet: starting it, as npm run up does\n')
  const child = spawn(process.execPath, [join(checkout, 'scripts/up.ts')], {
    env: { ...env, COFFER_DATA_DIR: dataDir },
    stdio: ['ignore', 'pipe', 'inherit'],
    // Ctrl-C reaches the demo alone, which then stops it in order.
    detached: true,
  })
  const ended = once(child, 'close')
  const lines = createInterface(child.stdout)
  const ready = new Promise<void>((resolve, reject) => {
    lines.on('line', (line) => {
      if (line.startsWith('Coffer is ready')) resolve()
    })
    void ended.then(([code]) => reject(new Error(`npm run up ended with ${code} before it was ready`)))
  })
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
    await ended
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void stop().then(() => process.exit(130)))
  await ready
  return { [Symbol.asyncDispose]: stop }
}

async function isRunning(dataDir: string): Promise<boolean> {
  const { url } = readRunRecord(dataDir)
  if (url === undefined) return false
  try {
    return (await fetch(new URL('/healthz', url))).ok
  } catch {
    return false
  }
}
