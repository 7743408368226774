import { CofferError } from '../errors.ts'
import { writeToChild, type ChildFailure } from '../pipeline/child.ts'
import type { PostgresClient } from './clients.ts'
import { describeConnection, type PostgresConnection } from './connection.ts'
import { openClientEnvironment } from './environment.ts'
import { programFailure } from './failures.ts'
import { foundDifferences, mismatch } from './row-check.ts'

export interface PgRestore {
  connection: PostgresConnection
  client: PostgresClient
  /** All of it is committed, or nothing. */
  inOneTransaction?: boolean
  /** By which the session on the server is found. */
  applicationName?: string
  signal?: AbortSignal | undefined
}

/**
 * Feeds an archive to pg_restore, which stops at the first error. Owners, grants and tablespaces are left out, since those of the source need
 * not exist here: all belongs to the role of the connection, and lies where the database does.
 *
 * @throws RESTORE_FAILED, RESTORE_MISMATCH where a row check within the archive failed, the archive's own error, or the signal's reason
 */
export async function feedPgRestore(run: PgRestore, archive: AsyncIterable<Buffer>): Promise<void> {
  const { connection, client, inOneTransaction = false, applicationName, signal } = run
  await using environment = await openClientEnvironment(connection, { applicationName })
  await writeToChild(
    {
      program: client.pgRestore,
      args: [
        // The empty name stands for PGDATABASE, which is literal; any other would be parsed as a connection string.
        ...['--no-password', '--dbname=', '--exit-on-error', '--no-owner', '--no-acl', '--no-tablespaces'],
        ...(inOneTransaction ? ['--single-transaction'] : []),
      ],
      env: environment.variables,
      ...(signal && { signal }),
      onFailure: (exit) => failure(exit, connection),
    },
    archive,
  )
}

function failure(exit: ChildFailure, connection: PostgresConnection): CofferError {
  const differences = foundDifferences(exit.stderrTail)
  if (differences) return mismatch(differences, describeConnection(connection))
  const failed = programFailure('pg_restore', exit, connection, 'RESTORE_FAILED')
  if (!exit.stderrTail.includes('max_locks_per_transaction')) return failed
  return new CofferError(
    'RESTORE_FAILED',
    `${failed.message}; nothing was changed: raise max_locks_per_transaction of the server, or give the role ${connection.user} CREATEDB and the database, so that a scratch database can be used`,
    { details: failed.details },
  )
}
