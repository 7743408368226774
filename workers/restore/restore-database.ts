import type { DumpContents } from '../../shared/domain/manifest.ts'
import { findPostgresClients } from '../../shared/postgres/clients.ts'
import { parsePostgresUrl } from '../../shared/postgres/connection.ts'
import { restoreIntoEmpty } from '../../shared/postgres/restore.ts'
import { readPlain, type RestorePart } from './restore-part.ts'

/** Restores a dump into an empty database and compares it with what was counted when it was taken. */
export async function restoreDatabase(part: RestorePart, contents: DumpContents): Promise<Record<string, unknown>> {
  const report = await restoreIntoEmpty({
    connection: parsePostgresUrl(part.connection.url),
    clients: await findPostgresClients(),
    dump: readPlain(part, 'dump'),
    expected: contents,
    signal: part.life.signal,
  })
  return { ...report }
}
