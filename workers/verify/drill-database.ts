import type { DumpContents, Manifest } from '../../shared/domain/manifest.ts'
import { CofferError } from '../../shared/errors.ts'
import { findPostgresClients } from '../../shared/postgres/clients.ts'
import { hasServerGivenUp } from '../../shared/postgres/failures.ts'
import { restoreIntoScratch } from '../../shared/postgres/restore-into-scratch.ts'
import { dropScratch } from '../../shared/postgres/scratch.ts'
import { DumpCheck } from './check-dump.ts'
import { readPlain, recordOf, type PartToVerify } from './part.ts'
import { drillServer, scratchDatabase } from './scratch.ts'

/** Restores the dump into a database of its own on the drill server: rows of every table, large objects and the schema's objects are compared. */
export async function drillDatabase(
  part: PartToVerify,
  manifest: Manifest,
  contents: DumpContents,
  restored: () => void,
): Promise<Record<string, unknown>> {
  const server = drillServer(part.config)
  const { name, marker } = scratchDatabase(part.id)
  const check = new DumpCheck()
  try {
    const report = await restoreIntoScratch({
      server,
      name,
      marker,
      clients: await findPostgresClients(),
      dump: readPlain(part, recordOf(manifest, 'dump'), (chunk) => check.inspect(chunk)),
      expected: contents,
      signal: part.signal,
    })
    restored()
    return { ...check.finish(contents), ...report, server: `${server.host}:${server.port}` }
  } catch (error) {
    if (!(error instanceof CofferError) || !hasServerGivenUp(error)) throw error
    throw new CofferError('DRILL_SERVER_FAILED', error.message, { cause: error })
  } finally {
    // What can't be dropped now is dropped by the next tick of any worker.
    await dropScratch(server, name, marker).catch(() => undefined)
  }
}
