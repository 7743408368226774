import { join } from 'node:path'
import type { WorkerConfig } from '../../shared/config.ts'
import { CofferError } from '../../shared/errors.ts'
import { parsePostgresUrl, type PostgresConnection } from '../../shared/postgres/connection.ts'
import { scratchName } from '../../shared/postgres/scratch.ts'

type Places = Pick<WorkerConfig, 'COFFER_DATA_DIR' | 'COFFER_SCRATCH_DIR' | 'COFFER_DRILL_DATABASE_URL'>

const FOLDER = /^drill-([\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})$/
const DATABASE = /^coffer_drill_([\da-f]{8})([\da-f]{4})([\da-f]{4})([\da-f]{4})([\da-f]{12})$/

/** Where this worker extracts media to for drills: one folder for each verification. */
export const scratchRoot = ({ COFFER_SCRATCH_DIR: given, COFFER_DATA_DIR: data }: Places): string =>
  given ?? join(data, 'scratch')

export const scratchFolder = (places: Places, verification: string): string =>
  join(scratchRoot(places), `drill-${verification}`)

/** Whose folder that is; null: none of ours. */
export const folderOwner = (name: string): string | null => FOLDER.exec(name)?.[1] ?? null

/** @throws DRILL_SERVER_MISSING */
export function drillServer({ COFFER_DRILL_DATABASE_URL: url }: Places): PostgresConnection {
  if (url === undefined)
    throw new CofferError(
      'DRILL_SERVER_MISSING',
      'databases are not drilled: the worker has no COFFER_DRILL_DATABASE_URL',
    )
  return parsePostgresUrl(url)
}

/** A database of the drill server, for one verification. */
export const scratchDatabase = (verification: string): { name: string; marker: string } => ({
  name: scratchName('drill', verification),
  marker: `verification ${verification}`,
})

/** The verification whose database has this name; null: none of ours. */
export function databaseOwner(name: string): string | null {
  const parts = DATABASE.exec(name)
  return parts ? parts.slice(1).join('-') : null
}
