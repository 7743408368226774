import { randomBytes } from 'node:crypto'
import { Client, escapeIdentifier } from 'pg'

export interface TestDatabase {
  name: string
  /** The role may do everything there. */
  url: string
  /** Ends every session and drops it. May run twice. */
  drop(): Promise<void>
}

/** An empty database on the test server. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`
  await onTestServer(`CREATE DATABASE ${escapeIdentifier(name)}`)
  const url = testServerUrl()
  url.pathname = `/${name}`
  return {
    name,
    url: url.href,
    drop: () => onTestServer(`DROP DATABASE IF EXISTS ${escapeIdentifier(name)} WITH (FORCE)`),
  }
}

/** Runs one statement as the test server's own role. */
export async function onTestServer(sql: string): Promise<void> {
  const client = new Client({ connectionString: testServerUrl().href })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

function testServerUrl(): URL {
  const url = process.env.COFFER_TEST_DATABASE_URL
  if (url === undefined) throw new Error('COFFER_TEST_DATABASE_URL is unset: the global setup of vitest has not run')
  return new URL(url)
}
