import pg from 'pg'
import { commentOf } from './scratch.ts'
import { quoteIdentifier, type Session } from './session.ts'

const NOTE = /(?:^|\n)\[coffer restore ([^\]]*)\]$/

/**
 * SQL that notes in the last line of a database's comment which restore it came from. It is committed together with the restore, so that
 * a killed one can be told from one that came through. A setting would do, but only a superuser may invent one.
 */
export function noteRestore(database: string, comment: string | null, restore: string): string {
  const own = withoutNote(comment)
  const text = `${own === '' ? '' : `${own}\n`}[coffer restore ${restore}]`
  return `COMMENT ON DATABASE ${quoteIdentifier(database)} IS ${pg.escapeLiteral(text)}`
}

/** What was last noted of a database; null: nothing. */
export async function lastRestore(session: Session, database: string): Promise<string | null> {
  return noteIn(await commentOf(session, database))
}

/** What is noted in a database's comment; null: nothing. */
export const noteIn = (comment: string | null): string | null => NOTE.exec(comment ?? '')?.[1] ?? null

const withoutNote = (comment: string | null): string => comment?.replace(NOTE, '') ?? ''
