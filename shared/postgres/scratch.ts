import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { CofferError } from '../errors.ts'
import type { PostgresConnection } from './connection.ts'
import { localeClauses, readLocale, type DatabaseLocale } from './locale.ts'
import { quoteIdentifier, withSession, type Session } from './session.ts'

/** What throw-away databases, and the roles that restore into them, are for. */
export type ScratchPurpose = 'restore' | 'drill'

export interface Scratch {
  name: string
  /** Whose it is, as its maker said; null where the maker was killed before it could say so. */
  marker: string | null
}

const NAMES = '^coffer_(restore|drill)_[0-9a-f]{1,32}$'
const MARKED = 'coffer: '
/** Of template0; naming it would need a right that nobody but its owner has. */
const DEFAULT_TABLESPACE = 'pg_default'
const LOCALE_REFUSED = ['22023', '42704', '42809', '42P17']

/** Of 50 ms each. */
const ENDING_TRIES = 200
const NO_PID = 0

const quoteLiteral = pg.escapeLiteral

interface Options {
  signal?: AbortSignal | undefined
}

/** The database's name, and that of its role: fits in 63 bytes, needs no quotes, and is the same for the same id (a UUID). */
export function scratchName(purpose: ScratchPurpose, id: string): string {
  return `coffer_${purpose}_${id
    .toLowerCase()
    .replace(/[^0-9a-f]/g, '')
    .slice(0, 32)}`
}

/** What an empty scratch database is made like. */
export interface ScratchOptions extends Options {
  name: string
  marker: string
  like: { encoding: string; collate: string; ctype: string }
  /** Of the database whose place it will take. */
  replaced?: DatabaseLocale | undefined
  tablespace?: string | undefined
}

/**
 * Creates an empty database from template0 on this server, in the place of one that an earlier attempt has left. Where the server has
 * not the locale, it is the best of `localeClauses` that it has. Its owner is the connection's role; but since what is restored may be
 * hostile, a superuser gives it to a role of its own name that may do nothing else.
 *
 * @returns how its owner connects to it, its oid and the locale that it got
 * @throws what connectionFailure makes of the server's refusal; CONFLICT where another owner's database has this name
 */
export async function createScratch(
  server: PostgresConnection,
  options: ScratchOptions,
): Promise<PostgresConnection & { oid: number; locale: DatabaseLocale }> {
  const { name, marker, signal } = options
  return withSession(server, { signal }, async (session) => {
    await dropIn(session, name, marker)
    const owner = (await isSuperuser(session)) ? await createLesserRole(session, name) : null
    await createLike(session, options, owner?.user)
    await markDatabase(session, name, marker)
    const oid = await oidOf(session, name)
    if (oid === null) throw new Error(`the database ${name} was dropped at once`)
    return { ...server, ...owner, database: name, oid, locale: await readLocale(session, name) }
  })
}

/**
 * Drops it with the sessions in it, and its role where it has one of its name. May run twice.
 * @param options.oid only this very one: the next attempt may have one of the same name and marker
 * @throws CONFLICT where it is another's
 */
export async function dropScratch(
  server: PostgresConnection,
  name: string,
  marker: string,
  { signal, oid }: Options & { oid?: number | undefined } = {},
): Promise<void> {
  await withSession(server, { signal }, async (session) => {
    if (oid === undefined || (await oidOf(session, name)) === oid) await dropIn(session, name, marker)
  })
}

/** By which one database is told from another that has come in its place; null where there is none. */
export async function oidOf(session: Session, name: string): Promise<number | null> {
  const { rows } = await session.query<{ oid: number }>('SELECT oid FROM pg_catalog.pg_database WHERE datname = $1', [
    name,
  ])
  return rows[0]?.oid ?? null
}

/** Every throw-away database on the server whose name is one of ours, oldest name first. */
export async function listScratches(server: PostgresConnection, { signal }: Options = {}): Promise<Scratch[]> {
  return withSession(server, { signal }, async (session) => {
    const { rows } = await session.query<{ name: string }>(
      'SELECT datname AS name FROM pg_catalog.pg_database WHERE datname ~ $1 ORDER BY datname',
      [NAMES],
    )
    return Promise.all(rows.map(async ({ name }) => ({ name, marker: await markerOf(session, name) })))
  })
}

/** Says whose a database is, in its comment. */
export async function markDatabase(session: Session, name: string, marker: string): Promise<void> {
  await session.query(`COMMENT ON DATABASE ${quoteIdentifier(name)} IS ${quoteLiteral(`${MARKED}${marker}`)}`)
}

/** What `markDatabase` said; null where nothing was said, or there is no such database. */
export async function markerOf(session: Session, name: string): Promise<string | null> {
  const comment = await commentOf(session, name)
  return comment?.startsWith(MARKED) ? comment.slice(MARKED.length) : null
}

export async function commentOf(session: Session, name: string): Promise<string | null> {
  const { rows } = await session.query<{ comment: string | null }>(
    `SELECT pg_catalog.shobj_description(oid, 'pg_database') AS comment FROM pg_catalog.pg_database WHERE datname = $1`,
    [name],
  )
  return rows[0]?.comment ?? null
}

/** Ends the other sessions in a database, but that of `spared`, a pid. @throws 42501 from the server where one belongs to a role that this one may not end */
export async function endSessions(session: Session, name: string, spared = NO_PID): Promise<void> {
  await session.query(
    `SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
      WHERE datname = $1 AND pid NOT IN (pg_catalog.pg_backend_pid(), $2) AND backend_type = 'client backend'`,
    [name, spared],
  )
}

/** Ends the other sessions in a database, but that of `spared`, and waits until none is left. @throws RESTORE_FAILED where one does not end */
export async function emptyOfSessions(session: Session, name: string, spared = NO_PID): Promise<void> {
  for (let left = ENDING_TRIES; left > 0; left--) {
    await endSessions(session, name, spared)
    const { rows } = await session.query(
      `SELECT FROM pg_catalog.pg_stat_activity WHERE datname = $1 AND pid <> $2 AND backend_type = 'client backend' LIMIT 1`,
      [name, spared],
    )
    if (rows.length === 0) return
    await session.query('SELECT pg_catalog.pg_sleep(0.05)')
  }
  throw new CofferError('RESTORE_FAILED', `sessions in the database ${name} don't end`)
}

/** Drops a database with the sessions in it, on servers before 13 by ending them first. May run twice. */
export async function dropDatabase(session: Session, name: string): Promise<void> {
  const { rows } = await session.query<{ canForce: boolean }>(
    `SELECT current_setting('server_version_num')::int >= 130000 AS "canForce"`,
  )
  if (rows[0]?.canForce) await session.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(name)} WITH (FORCE)`)
  else {
    await endSessions(session, name)
    await session.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(name)}`)
  }
}

async function dropIn(session: Session, name: string, marker: string): Promise<void> {
  const comment = await commentOf(session, name)
  if (comment !== null && comment !== `${MARKED}${marker}`) {
    throw new CofferError('CONFLICT', `the database ${name} belongs to somebody else: ${comment}`)
  }
  await dropDatabase(session, name)
  const { rows } = await session.query('SELECT FROM pg_catalog.pg_roles WHERE rolname = $1', [name])
  if (rows.length > 0) await session.query(`DROP ROLE ${quoteIdentifier(name)}`)
}

/** Whether nothing on the server is forbidden to the session's role. */
export async function isSuperuser(session: Session): Promise<boolean> {
  const { rows } = await session.query<{ isSuperuser: boolean }>(
    'SELECT rolsuper AS "isSuperuser" FROM pg_catalog.pg_roles WHERE rolname = current_user',
  )
  return rows[0]?.isSuperuser ?? false
}

async function createLesserRole(session: Session, name: string): Promise<{ user: string; password: string }> {
  const password = randomBytes(24).toString('base64url')
  await session.query(
    `CREATE ROLE ${quoteIdentifier(name)} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD ${quoteLiteral(password)}`,
  )
  return { user: name, password }
}

async function createLike(session: Session, options: ScratchOptions, owner: string | undefined): Promise<void> {
  const { name, like, replaced, tablespace } = options
  const create =
    `CREATE DATABASE ${quoteIdentifier(name)} TEMPLATE template0 ENCODING ${quoteLiteral(like.encoding)}` +
    (owner === undefined ? '' : ` OWNER ${quoteIdentifier(owner)}`) +
    (tablespace === undefined || tablespace === DEFAULT_TABLESPACE ? '' : ` TABLESPACE ${quoteIdentifier(tablespace)}`)
  await firstThatWorks(
    session,
    localeClauses(like, replaced).map((locale) => `${create} ${locale}`),
  )
}

/** Tries the next statement where the locale of one is not known here, or does not go with the encoding. */
async function firstThatWorks(session: Session, statements: readonly string[]): Promise<void> {
  for (const [index, statement] of statements.entries()) {
    try {
      await session.query(statement)
      return
    } catch (error) {
      const { code = '' } = error as { code?: string }
      if (index === statements.length - 1 || !LOCALE_REFUSED.includes(code)) throw error
    }
  }
}
