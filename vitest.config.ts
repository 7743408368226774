import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    projects: [
      { extends: true, test: { name: 'layering', include: ['test/layering.test.ts'] } },
      {
        extends: true,
        test: {
          name: 'coffer',
          include: ['test/**/*.test.ts'],
          exclude: ['test/layering.test.ts'],
          globalSetup: 'test/support/global-setup.ts',
          setupFiles: 'test/support/seed.ts',
        },
      },
    ],
  },
})
