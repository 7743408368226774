/** The test server's Redis, a numbered database for each test process: tests that run at the same time hear no bells of each other. */
export function testRedisUrl(): string {
  const url = new URL(process.env.COFFER_TEST_REDIS_URL ?? '')
  url.pathname = `/${process.env.VITEST_POOL_ID ?? '0'}`
  return url.href
}
