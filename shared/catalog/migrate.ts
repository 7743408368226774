import { fileURLToPath } from 'node:url'
import { runner } from 'node-pg-migrate'

/** Brings the catalog's schema to this version. May run twice, also at the same time: the second waits for the first. */
export async function migrate(databaseUrl: string, log: (line: string) => void): Promise<void> {
  await runner({
    databaseUrl,
    dir: fileURLToPath(new URL('./migrations', import.meta.url)),
    migrationsTable: 'pgmigrations',
    direction: 'up',
    advisoryLockMode: 'wait',
    log: () => undefined,
    logger: { info: log, warn: log, error: log, debug: () => undefined },
  })
}
