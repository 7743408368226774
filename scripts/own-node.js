// Plain JavaScript for whatever Node the machine has (18 or later): it runs before Coffer's own Node is there.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const checkout = join(dirname(fileURLToPath(import.meta.url)), '..')
export const binFolder = join(checkout, 'node_modules', '.bin')
export const ownNode = join(binFolder, 'node')

/**
 * Runs a program to its end with our terminal; its exit code, or 128 + the signal that ended it. Signals to this process are
 * passed on, except a Ctrl-C of the terminal, which has reached the program already.
 */
export async function run(command, args, env = process.env) {
  const child = spawn(command, args, { stdio: 'inherit', env })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2']) {
    process.on(signal, () => {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
    })
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal]))
  })
}

/** Runs a TypeScript file of the checkout with the Node of node_modules, which also comes first on its PATH. */
export function runOwnNode(script, args) {
  const env = { ...process.env, PATH: binFolder + delimiter + (process.env.PATH ?? '') }
  return run(ownNode, [join(checkout, script), ...args], env)
}
