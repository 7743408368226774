import { readServerSettings } from '../services/run-record.ts'

/** A PostgreSQL where the demo may create its database: the private one, else the one given for the catalog. */
export function demoServerUrl(dataDir: string, env: NodeJS.ProcessEnv): string {
  if (env.COFFER_DATABASE_URL !== undefined && env.COFFER_DATABASE_URL !== '') return env.COFFER_DATABASE_URL
  const { postgres } = readServerSettings(dataDir)
  if (!postgres)
    throw new Error('this Coffer has no private PostgreSQL for the sample database: set COFFER_DATABASE_URL')
  return `postgres://coffer:${postgres.ownerPassword}@127.0.0.1:${postgres.port}/coffer`
}
