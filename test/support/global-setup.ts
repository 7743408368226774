import { ensureTestServices } from '../../scripts/services/test-services.ts'

/**
 * Gives every run of the tests servers of its own, unless COFFER_TEST_DATABASE_URL and COFFER_TEST_REDIS_URL name some. The
 * addresses reach the tests by these same variables.
 */
export default async function setup(): Promise<() => Promise<void>> {
  const services = await ensureTestServices(process.env)
  process.env.COFFER_TEST_DATABASE_URL = services.databaseUrl
  process.env.COFFER_TEST_REDIS_URL = services.redisUrl
  return () => services.stop()
}
