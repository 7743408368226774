import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { ensureTestServices } from './services/test-services.ts'

/** `npm test`: test servers, then vitest with the arguments given, then the servers are thrown away, whatever happened. */
const checkout = join(import.meta.dirname, '..')
const services = await ensureTestServices(process.env)
const vitest = spawn(
  process.execPath,
  [join(checkout, 'node_modules/vitest/vitest.mjs'), 'run', ...process.argv.slice(2)],
  {
    cwd: checkout,
    stdio: 'inherit',
    env: {
      ...process.env,
      COFFER_TEST_DATABASE_URL: services.databaseUrl,
      COFFER_TEST_REDIS_URL: services.redisUrl,
    },
  },
)
// A Ctrl-C reaches vitest by itself; this process stays until the servers are gone.
process.on('SIGINT', () => undefined)
for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => vitest.kill(signal))
const status = await new Promise<number>((resolve) => vitest.once('exit', (code) => resolve(code ?? 1)))
await services.stop()
process.exitCode = status
