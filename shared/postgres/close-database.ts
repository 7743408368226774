import type { PostgresConnection } from './connection.ts'
import { emptyOfSessions } from './scratch.ts'
import { refuseObjects } from './server.ts'
import { quoteIdentifier, withSession, type Session } from './session.ts'

/** Lets nobody in any more; who is in stays. */
export async function closeDatabase(session: Session, name: string): Promise<void> {
  await session.query(`ALTER DATABASE ${quoteIdentifier(name)} ALLOW_CONNECTIONS false`)
}

/**
 * Closes a database that is about to be dropped because it is empty, ends its sessions, and looks once more: from within, by a session
 * that was there before, since nobody enters a closed one. What anybody had committed by then would go without a copy.
 *
 * @param session in another database of the server
 * @throws TARGET_NOT_EMPTY, with the database closed
 */
export async function closeEmpty(session: Session, target: PostgresConnection): Promise<void> {
  await withSession(target, {}, async (inside) => {
    // In one transaction, so that a pooler, too, leaves it the same backend; of a level that sees what was committed since it began.
    await inside.query('BEGIN ISOLATION LEVEL READ COMMITTED')
    const { rows } = await inside.query<{ pid: number }>('SELECT pg_catalog.pg_backend_pid() AS pid')
    await closeDatabase(session, target.database)
    await emptyOfSessions(session, target.database, rows[0]?.pid)
    await refuseObjects(inside, target)
  })
}
