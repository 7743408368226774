import { randomUUID } from 'node:crypto'
import type { DumpContents } from '../../shared/domain/manifest.ts'
import type { PostgresClient } from '../../shared/postgres/clients.ts'
import type { PostgresConnection } from '../../shared/postgres/connection.ts'
import { restoreInPlace } from '../../shared/postgres/restore-in-place.ts'
import type { RestoreReport } from '../../shared/postgres/restore-into-scratch.ts'
import { lookAtTarget } from '../../shared/postgres/target.ts'

/** Restores in place into whatever the database holds. */
export async function restoreInto(options: {
  connection: PostgresConnection
  clients: readonly PostgresClient[]
  dump: AsyncIterable<Buffer>
  expected: DumpContents
  id?: string
  signal?: AbortSignal
}): Promise<RestoreReport> {
  const { connection, expected, signal, id = randomUUID() } = options
  return restoreInPlace({ ...options, id, target: await lookAtTarget(connection, expected, signal) })
}
