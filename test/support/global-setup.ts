import { join } from 'node:path'
import { ensurePrograms, ensureServices } from '../../scripts/services/ensure-services.ts'

/**
 * Gives every run of the tests servers of its own, unless COFFER_TEST_DATABASE_URL and COFFER_TEST_REDIS_URL name some. The
 * addresses reach the tests by these same variables.
 */
export default async function setup(): Promise<() => Promise<void>> {
  const log = (line: string): void => void process.stderr.write(`${line}\n`)
  await ensurePrograms(['age', 'zstd', 'tar'], { env: process.env, log })
  const dataDir = join(import.meta.dirname, '../../.coffer-test')
  const services = await ensureServices({ mode: 'test', dataDir, env: process.env, log })
  process.env.COFFER_TEST_DATABASE_URL = services.databaseUrl
  process.env.COFFER_TEST_REDIS_URL = services.redisUrl
  return () => services.stop()
}
