import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { Client, escapeIdentifier } from 'pg'
import { findPostgresClients } from '../../shared/postgres/clients.ts'
import { parsePostgresUrl, type PostgresConnection } from '../../shared/postgres/connection.ts'
import { openClientEnvironment } from '../../shared/postgres/environment.ts'
import { onTestServer, type TestDatabase } from './databases.ts'

/** The client programs of this machine, asked once. */
export const clients = await findPostgresClients()

/** An empty database of exactly this name. */
export async function createDatabaseNamed(name: string, options = ''): Promise<TestDatabase> {
  const drop = () => onTestServer(`DROP DATABASE IF EXISTS ${escapeIdentifier(name)} WITH (FORCE)`)
  await onTestServer(`CREATE DATABASE ${escapeIdentifier(name)} ${options}`)
  return { name, url: urlOfDatabase(name), drop }
}

/** The test server's own URL with another database, and another role where one is given. */
export function urlOfDatabase(name: string, role?: { user: string; password: string }): string {
  const server = process.env.COFFER_TEST_DATABASE_URL
  if (server === undefined) throw new Error('COFFER_TEST_DATABASE_URL is unset: the global setup of vitest has not run')
  const url = new URL(server)
  if (role) {
    url.username = encodeURIComponent(role.user)
    url.password = encodeURIComponent(role.password)
  }
  url.pathname = '/'
  // Joined as text: a URL would take a database called '..' for its parent folder.
  return `${url.href}${encodeURIComponent(name)}`
}

/** Runs SQL in one session, statement after statement, and gives the rows of the last. */
export async function query<Row extends Record<string, unknown>>(url: string, ...statements: string[]): Promise<Row[]> {
  const { host, port, user, password, database } = parsePostgresUrl(url)
  const client = new Client({ host, port, user, password, database, ssl: false })
  await client.connect()
  try {
    let rows: Row[] = []
    for (const statement of statements) ({ rows } = await client.query<Row>(statement))
    return rows
  } finally {
    await client.end()
  }
}

/** The whole database as pg_dump writes it in SQL, without the two lines that differ each time. */
export async function dumpAsText(connection: PostgresConnection): Promise<string> {
  await using environment = await openClientEnvironment(connection)
  const [client] = clients
  if (!client) throw new Error('pg_dump is not installed')
  const { stdout } = await promisify(execFile)(client.pgDump, ['--no-password', '--format=plain'], {
    env: environment.variables,
    maxBuffer: 1024 ** 3,
  })
  return stdout.replaceAll(/^\\(un)?restrict .*\n/gm, '')
}
