import { lastRestore, noteRestore } from './restore-note.ts'
import { inAnyEncoding } from './row-check.ts'
import { scratchName } from './scratch.ts'
import { quoteIdentifier, type Session } from './session.ts'
import type { Target } from './target.ts'

/** What a dump leaves out. */
export const MARKERS = 'coffer_restored_*'

const markerName = (id: string): string => scratchName('restore', id).replace('restore', 'restored')

/**
 * SQL that is committed together with a restore in place and tells that it was: a note in the comment of the database, or where the role
 * does not own the database, an empty schema.
 */
export function noteCommitted({ ownsDatabase, connection, comment }: Target, id: string): string {
  if (!ownsDatabase) return `CREATE SCHEMA ${quoteIdentifier(markerName(id))}`
  return inAnyEncoding(noteRestore(connection.database, comment, id))
}

export async function isCommitted(session: Session, database: string, id: string): Promise<boolean> {
  const { rows } = await session.query('SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1', [markerName(id)])
  return rows.length > 0 || (await lastRestore(session, database)) === id
}

/** Removes the schemas, so that nothing of these restores is left among the objects of the database. May run twice. */
export async function removeMarkers(session: Session, ids: readonly string[]): Promise<void> {
  const { rows } = await session.query('SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname = ANY($1)', [
    ids.map(markerName),
  ])
  for (const { nspname } of rows as { nspname: string }[])
    await session.query(`DROP SCHEMA IF EXISTS ${quoteIdentifier(nspname)}`)
}

export const isMarker = (schema: string, id: string): boolean => schema === markerName(id)
