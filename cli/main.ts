import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { loginsFile } from './logins.ts'
import { runCommand } from './program.ts'

const SIGNAL_EXIT = { SIGINT: 130, SIGTERM: 143 }
/** Signals closer together than this are one: bin/coffer.js passes on what the terminal may have sent already. */
const SAME_MS = 300

async function main(): Promise<void> {
  const checkout = dirname(import.meta.dirname)
  const { version } = JSON.parse(readFileSync(`${checkout}/package.json`, 'utf8')) as { version: string }
  const { COFFER_URL = '', COFFER_TOKEN = '', COFFER_DATA_DIR = '' } = process.env
  const interrupted = new AbortController()
  let interruptedAt = 0
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (interrupted.signal.aborted) {
        if (performance.now() - interruptedAt > SAME_MS) process.exit()
        return
      }
      interruptedAt = performance.now()
      process.exitCode = SIGNAL_EXIT[name]
      interrupted.abort(new Error(`interrupted by ${name}`))
    })
  }
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // EPIPE: whoever read the output has seen enough.
    if (error.code !== 'EPIPE') process.stderr.write(`error: cannot write to stdout: ${error.message}\n`)
    process.exit(1)
  })
  try {
    process.exitCode = await runCommand(process.argv.slice(2), {
      surroundings: {
        env: { COFFER_URL, COFFER_TOKEN, COFFER_DATA_DIR },
        checkout,
        cwd: process.cwd(),
        loginsFile: loginsFile(process.env),
      },
      stdin: process.stdin,
      stdout: process.stdout,
      stderr: process.stderr,
      signal: interrupted.signal,
      now: () => performance.now(),
      version,
    })
  } catch (thrown) {
    if (!interrupted.signal.aborted) throw thrown
    process.stderr.write('interrupted; what was begun on the server goes on\n')
  }
}

await main()
