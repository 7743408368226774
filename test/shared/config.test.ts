import { expect, test } from 'vitest'
import { loadProducerConfig, loadWorkerConfig } from '../../shared/config.ts'

const GOOD = {
  COFFER_DATABASE_URL: 'postgres://u:p@h/d',
  COFFER_REDIS_URL: 'redis://h',
  COFFER_STORAGE_URL: 'file:///store',
  COFFER_DATA_DIR: '/data',
  COFFER_SECRET_KEY: Buffer.alloc(32).toString('base64'),
}

test('all problems are reported together, by name and expectation, never by value', () => {
  const bad = {
    ...GOOD,
    COFFER_DATABASE_URL: 'mysql://canary',
    COFFER_REDIS_URL: undefined,
    COFFER_SECRET_KEY: 'canary',
    COFFER_AGE_RECIPIENTS: 'age1canary',
    COFFER_LEASE_SECONDS: '-1',
    COFFER_WORKER_CONCURRENCY: 'many',
  }
  expect(() => loadWorkerConfig(bad)).toThrow(
    expect.objectContaining({
      code: 'CONFIG_INVALID',
      message: [
        'the configuration has 6 problem(s)',
        '  COFFER_DATABASE_URL: expected an address that begins with postgres://, postgresql://',
        '  COFFER_REDIS_URL: is missing; expected an address (redis://, rediss://)',
        '  COFFER_SECRET_KEY: expected 32 random bytes in base64 (openssl rand -base64 32)',
        '  COFFER_AGE_RECIPIENTS: expected public keys that begin with age1, separated by commas',
        '  COFFER_WORKER_CONCURRENCY: expected a whole number',
        '  COFFER_LEASE_SECONDS: expected a number of seconds above 0',
      ].join('\n'),
    }) as Error,
  )
})

test('a variable that is set to nothing is one that is not set; folders become absolute', () => {
  const config = loadProducerConfig({ ...GOOD, PORT: '', COFFER_MEDIA_ROOTS: 'media, /srv/media' })
  expect(config.PORT).toBe(8200)
  expect(config.COFFER_MEDIA_ROOTS).toEqual([`${process.cwd()}/media`, '/srv/media'])
})
