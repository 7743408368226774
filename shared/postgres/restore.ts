import type { DumpContents } from '../domain/manifest.ts'
import { CofferError } from '../errors.ts'
import { writeToChild } from '../pipeline/child.ts'
import { holdBack } from '../pipeline/chunks.ts'
import { reached } from '../steps.ts'
import { chooseRestoreClient, majorOf, type PostgresClient } from './clients.ts'
import { describeConnection, type PostgresConnection } from './connection.ts'
import { openClientEnvironment } from './environment.ts'
import { programFailure } from './failures.ts'
import { quoteIdentifier, withSession, type Session } from './session.ts'
import { checkTarget } from './target.ts'

export interface RestoredDatabase {
  tables: number
  rows: number
  largeObjects: number
}

const HELD_BACK_BYTES = 64 * 1024
const LISTED_DIFFERENCES = 10

/**
 * Restores a whole dump into a database that holds nothing yet, in one transaction, and compares it with what was recorded when
 * the dump was made. Owners and grants are left out, since the roles of the source need not exist here: all belongs to the role of
 * the connection. The end of the dump is held back until its source has ended well, so a source that fails commits nothing.
 *
 * @throws TARGET_NOT_EMPTY, TARGET_INCOMPATIBLE, CLIENT_MISSING before anything is written; RESTORE_FAILED, the source's own error, or the
 * signal's reason with nothing committed; RESTORE_MISMATCH after the commit; what inspectServer throws
 */
export async function restoreIntoEmpty(options: {
  connection: PostgresConnection
  clients: readonly PostgresClient[]
  dump: AsyncIterable<Buffer>
  expected: DumpContents
  signal?: AbortSignal
}): Promise<RestoredDatabase> {
  const { connection, clients, dump, expected, signal } = options
  const server = await checkTarget(connection, expected, signal)
  const client = chooseRestoreClient(clients, majorOf(expected.client_version), server.major)
  await using environment = await openClientEnvironment(connection)
  await writeToChild(
    {
      program: client.pgRestore,
      // The empty name stands for PGDATABASE, which is literal; any other would be parsed as a connection string.
      args: ['--no-password', '--dbname=', '--single-transaction', '--exit-on-error', '--no-owner', '--no-acl'],
      env: environment.variables,
      ...(signal && { signal }),
      onFailure: (exit) => programFailure('pg_restore', exit, connection, 'RESTORE_FAILED'),
    },
    holdBack(announceEnd(dump, connection), HELD_BACK_BYTES),
  )
  return await withSession(connection, { signal }, (session) => compareContents(session, connection, expected))
}

async function* announceEnd(dump: AsyncIterable<Buffer>, connection: PostgresConnection): AsyncGenerator<Buffer> {
  yield* dump
  reached('before-restore-commit', { target: describeConnection(connection) })
}

async function compareContents(
  session: Session,
  connection: PostgresConnection,
  expected: DumpContents,
): Promise<RestoredDatabase> {
  const differences: string[] = []
  let restoredRows = 0
  for (const { schema, name, rows } of expected.tables) {
    const table = `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`
    const restored = await count(session, `ONLY ${table}`)
    if (restored !== rows) differences.push(`${table} has ${restored} rows, not ${rows}`)
    restoredRows += restored
  }
  const largeObjects = await count(session, 'pg_catalog.pg_largeobject_metadata')
  if (largeObjects !== expected.large_objects) {
    differences.push(`it has ${largeObjects} large objects, not ${expected.large_objects}`)
  }
  if (differences.length > 0) {
    const listed = differences.slice(0, LISTED_DIFFERENCES)
    const more = differences.length > listed.length ? `; and ${differences.length - listed.length} more` : ''
    throw new CofferError(
      'RESTORE_MISMATCH',
      `${describeConnection(connection)} differs from the dump of ${expected.database}: ${listed.join('; ')}${more}`,
      { details: { differences } },
    )
  }
  return { tables: expected.tables.length, rows: restoredRows, largeObjects }
}

async function count(session: Session, from: string): Promise<number> {
  const { rows } = await session.query<{ count: string }>(`SELECT count(*) FROM ${from}`)
  return Number(rows[0]?.count)
}
