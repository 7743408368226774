import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { ensurePrograms, ensureServices } from './services/ensure-services.ts'

/** `npm test`: test servers, then vitest with the arguments given, then the servers are thrown away whatever happened. */
const log = (line: string): void => console.error(line)
const checkout = join(import.meta.dirname, '..')
await ensurePrograms(['age', 'zstd', 'tar'], { env: process.env, log })
const dataDir = join(checkout, '.coffer-test')
const services = await ensureServices({ mode: 'test', dataDir, env: process.env, log })

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
process.on('SIGTERM', () => vitest.kill('SIGTERM'))
const status = await new Promise<number>((resolve) => vitest.once('exit', (code) => resolve(code ?? 1)))
await services.stop()
process.exitCode = status
