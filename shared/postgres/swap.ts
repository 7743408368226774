import pg from 'pg'
import { CofferError } from '../errors.ts'
import { reached } from '../steps.ts'
import { carryOverProperties, readProperties, resetSettings } from './database-properties.ts'
import { closeDatabase, closeEmpty } from './close-database.ts'
import { describeConnection, type PostgresConnection } from './connection.ts'
import {
  commentOf,
  dropDatabase,
  dropScratch,
  emptyOfSessions,
  endSessions,
  isSuperuser,
  markDatabase,
  markerOf,
  oidOf,
  scratchName,
} from './scratch.ts'
import { refuseReplication } from './replication.ts'
import { lastRestore, noteIn, noteRestore } from './restore-note.ts'
import { quoteIdentifier, withSession, type Session } from './session.ts'

/** One restore that puts a scratch database in the place of a living one. */
export interface Swap {
  /** Of the restore. */
  id: string
  target: PostgresConnection
  /** Another database of the same server, from which both can be renamed. */
  door: PostgresConnection
  signal?: AbortSignal | undefined
}

/** What the comment of the old database says while it is kept. */
interface Kept {
  comment: string | null
  /** It held nothing: nobody will want it back. */
  isEmpty: boolean
}

const RENAME_TRIES = 5
/** Between closing a database and opening it again nothing but the server may end a session: whoever did would leave it closed. */
const UNDISTURBED = {}
const OBJECT_IN_USE = '55006'
/** In the note of a database that an undo has brought back: which was undone, and which restore, if any, it had come from. */
const UNDONE = ' undone to '

export const markerOfRestore = (id: string): string => `restore ${id}`
const keptName = (id: string): string => scratchName('restore', id).replace('restore', 'before')
const undoneName = (id: string): string => scratchName('restore', id).replace('restore', 'undone')

/**
 * The databases that every server has, as doors to it: one whose role may enter it, or null where none lets it in. Renaming a database
 * needs a session in another one.
 */
export async function findDoor(target: PostgresConnection, signal?: AbortSignal): Promise<PostgresConnection | null> {
  for (const database of ['postgres', 'template1'].filter((name) => name !== target.database)) {
    const door = { ...target, database }
    try {
      await withSession(door, { signal }, (session) => session.query('SELECT'))
      return door
    } catch {
      signal?.throwIfAborted()
    }
  }
  return null
}

/**
 * Puts the scratch database of the restore in the place of its target, with the target's owner, grants and settings; the old one is kept
 * under another name, closed. Until the renames commit together, the target is the old one.
 *
 * @param options.oid of the scratch database; a worker that was taken for dead must not put in what the next one has half restored
 * @returns what could not be carried over
 * @throws RESTORE_FAILED, RUN_FENCED, TARGET_NOT_EMPTY, the signal's reason, with the target open and as it was
 */
export async function swapIn(
  swap: Swap,
  { isEmpty, oid }: { isEmpty: boolean; oid: number | undefined },
): Promise<string[]> {
  const { id, target, door, signal } = swap
  const scratch = scratchName('restore', id)
  const notCarried = await withSession(door, { signal }, async (session) => {
    await requireOwn(session, scratch, oid)
    await disarm(session, scratch)
    await handOver(session, swap, scratch)
    return carryOverProperties(session, target.database, scratch)
  })
  reached('restore-carried', { restore: id })
  signal?.throwIfAborted()
  await withSession(door, UNDISTURBED, async (session) => {
    const comment = await commentOf(session, target.database)
    const close = isEmpty ? () => closeEmpty(session, target) : () => closeDatabase(session, target.database)
    await exchange(session, { living: target.database, aside: keptName(id), next: scratch, close }, async () => {
      await requireOwn(session, target.database, oid)
      const kept: Kept = { comment, isEmpty }
      await markDatabase(session, keptName(id), JSON.stringify(kept))
      await session.query(noteRestore(target.database, comment, id))
    })
  })
  reached('restore-swapped', { restore: id })
  if (isEmpty) await dropKept(swap)
  return notCarried
}

async function requireOwn(session: Session, name: string, oid: number | undefined): Promise<void> {
  if ((await oidOf(session, name)) === oid) return
  throw new CofferError('RUN_FENCED', `the scratch database of this attempt is gone: another has taken over`)
}

/** Finishes or undoes what a killed swap has left. May run twice. */
export async function recoverSwap(swap: Swap): Promise<'as-before' | 'restored'> {
  const { id, target, door, signal } = swap
  const isIn = await withSession(door, { signal }, async (session) => {
    await reopen(session, target.database)
    if ((await lastRestore(session, target.database)) !== id) return false
    const kept = await readKept(session, id)
    if (kept?.isEmpty) await dropDatabase(session, keptName(id))
    return true
  })
  if (!isIn) await dropScratch(door, scratchName('restore', id), markerOfRestore(id), { signal })
  return isIn ? 'restored' : 'as-before'
}

/** Drops the old database. May run twice. */
export async function dropKept({ id, door, signal }: Swap): Promise<void> {
  await withSession(door, { signal }, async (session) => {
    if (await readKept(session, id)) await dropDatabase(session, keptName(id))
  })
}

/**
 * Puts the old database back and drops what was restored. May run twice.
 *
 * @throws CONFLICT where the old one is not kept any more, or another restore has come since
 */
export async function swapBack({ id, target, door, signal }: Swap): Promise<void> {
  signal?.throwIfAborted()
  await withSession(door, UNDISTURBED, async (session) => {
    const last = (await lastRestore(session, target.database)) ?? ''
    const kept = await readKept(session, id)
    if (kept && restoredBy(last) === id) {
      const before = restoredBy(noteIn(kept.comment) ?? '')
      const close = () => closeDatabase(session, target.database)
      const places = { living: target.database, aside: undoneName(id), next: keptName(id), close }
      await exchange(session, places, async () => {
        await session.query(noteRestore(target.database, kept.comment, `${id}${UNDONE}${before}`))
      })
      reached('restore-undone', { restore: id })
    } else if (!last.startsWith(`${id}${UNDONE}`)) {
      const why = kept ? 'another restore has come since' : 'what it was before is not kept (any more)'
      throw new CofferError('CONFLICT', `the restore of ${describeConnection(target)} can't be undone: ${why}`)
    }
    await reopen(session, target.database)
    await dropDatabase(session, undoneName(id))
  })
}

/** What the dump has run may wait in a session, or in settings, for whoever enters: both end here, before anybody does. */
async function disarm(session: Session, scratch: string): Promise<void> {
  if (await hasOwnRole(session, scratch)) await session.query(`ALTER ROLE ${quoteIdentifier(scratch)} NOLOGIN`)
  await emptyOfSessions(session, scratch)
  await resetSettings(session, scratch)
}

const hasOwnRole = async (session: Session, scratch: string): Promise<boolean> =>
  (await session.query('SELECT FROM pg_catalog.pg_roles WHERE rolname = $1', [scratch])).rows.length > 0

/** What a role of the scratch's own has restored goes to the owner of the target. Table by table, since one transaction could not lock thousands. */
async function handOver(session: Session, { target, door, signal }: Swap, scratch: string): Promise<void> {
  if (!(await isSuperuser(session)) || !(await hasOwnRole(session, scratch))) return
  const { owner } = await readProperties(session, target.database)
  const [from, to] = [quoteIdentifier(scratch), quoteIdentifier(owner)]
  await withSession({ ...door, database: scratch }, { signal }, async (inside) => {
    await analyzeFirst(inside, owner)
    await inside.query(HAND_OVER_RELATIONS.replace('$owner', () => pg.escapeLiteral(owner)))
    await inside.query(`REASSIGN OWNED BY ${from} TO ${to}`)
    await inside.query(`DROP OWNED BY ${from}`)
    await inside.query(`DROP ROLE ${from}`)
  })
}

/**
 * Autovacuum analyzes new tables soon, with the rights of their owner; of a superuser, what a hostile dump has put into indexes and
 * statistics would run with all rights. So it is done before, when they belong to a role that may do nothing else.
 */
async function analyzeFirst(inside: Session, owner: string): Promise<void> {
  const { rows } = await inside.query('SELECT FROM pg_catalog.pg_roles WHERE rolname = $1 AND rolsuper', [owner])
  if (rows.length === 0) return
  try {
    await inside.query('ANALYZE')
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new CofferError(
      'RESTORE_FAILED',
      `a table that would belong to the superuser ${owner} can't be analyzed: ${why}`,
    )
  }
}

/** The restore that what a note is about had come from; empty: none. */
const restoredBy = (note: string): string => note.split(UNDONE).at(-1) ?? ''

/** Closes the living database, ends its sessions, and renames: it becomes `aside`, and `next` takes its place. */
async function exchange(
  session: Session,
  { living, aside, next, close }: { living: string; aside: string; next: string; close: () => Promise<void> },
  inTheSameTransaction: () => Promise<void>,
): Promise<void> {
  const name = quoteIdentifier(living)
  await refuseReplication(session, living)
  try {
    await close()
    reached('restore-closed', { database: living })
    for (let left = RENAME_TRIES; ; left--) {
      await endSessions(session, living)
      await endSessions(session, next)
      await session.query('BEGIN')
      try {
        await session.query(`ALTER DATABASE ${name} RENAME TO ${quoteIdentifier(aside)}`)
        await session.query(`ALTER DATABASE ${quoteIdentifier(next)} RENAME TO ${name}`)
        await session.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS true`)
        await inTheSameTransaction()
        await session.query('COMMIT')
        return
      } catch (error) {
        await session.query('ROLLBACK')
        if (left <= 1 || (error as { code?: string }).code !== OBJECT_IN_USE) throw error
      }
    }
  } catch (error) {
    await reopen(session, living)
    throw swapFailure(error, living)
  }
}

async function reopen(session: Session, name: string): Promise<void> {
  const { rows } = await session.query('SELECT FROM pg_catalog.pg_database WHERE datname = $1 AND NOT datallowconn', [
    name,
  ])
  if (rows.length > 0) await session.query(`ALTER DATABASE ${quoteIdentifier(name)} ALLOW_CONNECTIONS true`)
}

async function readKept(session: Session, id: string): Promise<Kept | null> {
  const marker = await markerOf(session, keptName(id))
  return marker === null ? null : (JSON.parse(marker) as Kept)
}

/** What the server refused, by a session that has opened the database again since: it is no failed connection. */
function swapFailure(error: unknown, database: string): CofferError {
  if (error instanceof CofferError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new CofferError('RESTORE_FAILED', `the database ${database} could not be renamed and is as it was: ${message}`)
}

const HAND_OVER_RELATIONS = `DO $handover$
  DECLARE relation regclass;
  BEGIN
    FOR relation IN SELECT oid FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND relowner = (
      SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_database()) LOOP
      EXECUTE format('ALTER TABLE %s OWNER TO %I', relation, $owner);
      COMMIT;
    END LOOP;
  END $handover$`
