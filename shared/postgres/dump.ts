import type { DumpContents } from '../domain/manifest.ts'
import { CofferError } from '../errors.ts'
import { readFromChild } from '../pipeline/child.ts'
import { MARKERS } from './committed.ts'
import { chooseClient, type PostgresClient } from './clients.ts'
import type { PostgresConnection } from './connection.ts'
import { DumpParser, type ParsedDump } from './dump-parser.ts'
import { openClientEnvironment } from './environment.ts'
import { programFailure } from './failures.ts'
import { inspectServer } from './server.ts'

export interface OpenDump {
  /** Plain bytes in the custom format, uncompressed inside. pg_dump starts with the first read and is ended when the reader stops. */
  source: AsyncIterable<Buffer>
  /** Takes every chunk of the source, in order, and keeps none; throws DUMP_INVALID at the first that does not parse. */
  inspect(chunk: Buffer): void
  /** After the source has ended; throws DUMP_INVALID where it did not parse to its end. */
  contents(): DumpContents
  /**
   * When the archive was created, in whole seconds of the worker's clock: just before the snapshot was taken, so never later than
   * what the dump shows. After the source has ended.
   */
  takenAt(): Date
  /** Size of the database on its server: a guess for the progress, not what will come. */
  estimatedBytes: number
}

const LOCK_WAIT_MS = 60_000

/**
 * Prepares the dump of a database by the client of its server's major version, or the smallest above.
 *
 * @throws what inspectServer and chooseClient throw; from the source also SOURCE_LOCKED, SOURCE_PERMISSION_DENIED, SOURCE_UNREACHABLE,
 * DUMP_FAILED, or the signal's reason
 */
export async function openDump(options: {
  connection: PostgresConnection
  clients: readonly PostgresClient[]
  signal?: AbortSignal
  /** How long pg_dump waits for a lock that another session holds. */
  lockWaitMs?: number
}): Promise<OpenDump> {
  const { connection, clients, signal, lockWaitMs = LOCK_WAIT_MS } = options
  const server = await inspectServer(connection, { signal })
  const client = chooseClient(clients, server.major)
  const parser = new DumpParser()
  let parsed: ParsedDump | undefined
  const result = () => (parsed ??= parser.end())
  return {
    source: readDump(connection, client, lockWaitMs, signal),
    inspect: (chunk) => parser.push(chunk),
    contents: () => ({
      kind: 'postgresql',
      server_version: server.version,
      client_version: client.version,
      database: connection.database,
      encoding: server.encoding,
      collate: server.collate,
      ctype: server.ctype,
      extensions: server.extensions,
      tables: result().tables,
      large_objects: result().largeObjects,
      toc_entries: result().tocEntries,
    }),
    takenAt: () => result().header.createdAt,
    estimatedBytes: server.sizeBytes,
  }
}

async function* readDump(
  connection: PostgresConnection,
  client: PostgresClient,
  lockWaitMs: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer, void, void> {
  await using environment = await openClientEnvironment(connection)
  yield* readFromChild({
    program: client.pgDump,
    args: [
      ...['--no-password', '--format=custom', '--compress=0'],
      ...[`--exclude-schema=${MARKERS}`, `--lock-wait-timeout=${lockWaitMs}`],
    ],
    env: environment.variables,
    ...(signal && { signal }),
    onFailure: (exit): CofferError => programFailure('pg_dump', exit, connection, 'DUMP_FAILED'),
  })
}
