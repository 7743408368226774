import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

/** Runs `coffer` as a person would, with its progress on the terminal. Resolves to what it printed; rejects unless it exits with 0. */
export type CofferCommand = (args: readonly string[], input?: string) => Promise<string>

export function coffer(checkout: string, env: NodeJS.ProcessEnv): CofferCommand {
  return async (args, input = '') => {
    if (!args.includes('--json')) process.stdout.write(`   $ coffer ${args.join(' ')}\n`)
    const child = spawn(process.execPath, [join(checkout, 'cli/main.ts'), ...args], {
      env,
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    child.stdin.end(input)
    const [printed, [code]] = await Promise.all([text(child.stdout), once(child, 'close') as Promise<[number | null]>])
    if (code !== 0) throw new Error(`coffer ${args.join(' ')} exited with ${code}`)
    return printed
  }
}
