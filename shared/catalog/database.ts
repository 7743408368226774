import pg from 'pg'
import { CofferError } from '../errors.ts'

/** What a query needs: the catalog itself, or a transaction of it. */
export interface Db {
  query<Row extends object = Record<string, unknown>>(text: string, values?: readonly unknown[]): Promise<Row[]>
}

export interface Catalog extends Db {
  /** Runs all of `work` in one transaction; a deadlock or serialization failure runs it again, so it may have no other effects. */
  transaction<T>(work: (tx: Db) => Promise<T>): Promise<T>
  /**
   * Runs `work` if no other process holds the lock of this name; returns null without running it otherwise. A process that freezes for
   * longer than a quarter of a minute loses its lock while its work goes on when it thaws: the work must bear that.
   */
  exclusively<T>(name: string, work: () => Promise<T>): Promise<T | null>
  close(): Promise<void>
}

const RETRYABLE = new Set(['40001', '40P01'])
const TRANSACTION_TRIES = 5

const INT8: number = pg.types.builtins.INT8
const DATE: number = pg.types.builtins.DATE
const usualParser = pg.types.getTypeParser as (oid: number, format?: 'text' | 'binary') => unknown

// bigint columns hold byte counts, which stay far below 2^53; dates stay text, since they have no time zone.
const types: pg.CustomTypesConfig = {
  getTypeParser(oid: number, format?: 'text' | 'binary'): unknown {
    if (oid === INT8) return Number
    return oid === DATE ? String : usualParser(oid, format)
  },
}

export interface CatalogOptions {
  url: string
  maxConnections: number
  onError: (error: Error) => void
}

export function openCatalog({ url, maxConnections, onError }: CatalogOptions): Catalog {
  const pool = new pg.Pool({
    connectionString: url,
    max: maxConnections,
    connectionTimeoutMillis: 10_000,
    query_timeout: 30_000,
    idle_in_transaction_session_timeout: 60_000,
    types,
  })
  pool.on('error', onError)
  // The pool listens to idle sessions only. One that breaks in use fails the query that comes next, and must not end the process.
  pool.on('connect', (client) => client.on('error', () => undefined))
  return {
    query: (text, values) => run(pool, text, values),
    transaction: (work) => retrying(() => transaction(pool, work)),
    exclusively: (name, work) => exclusively(pool, name, work),
    close: () => pool.end(),
  }
}

/**
 * The catalog for work inside a transaction: its queries and transactions join that one, and are kept or undone with it. One that fails
 * leaves the others usable, as it does outside.
 */
export function insideTransaction(catalog: Catalog, tx: Db): Catalog {
  const undoable = async <T>(work: () => Promise<T>): Promise<T> => {
    await tx.query('SAVEPOINT inside')
    try {
      const result = await work()
      await tx.query('RELEASE SAVEPOINT inside')
      return result
    } catch (error) {
      // Where even this fails, the whole transaction does.
      await tx.query('ROLLBACK TO SAVEPOINT inside').catch(() => undefined)
      throw error
    }
  }
  return {
    query: (text, values) => undoable(() => tx.query(text, values)),
    transaction: (work) => undoable(() => work(tx)),
    exclusively: (name, work) => catalog.exclusively(name, work),
    close: () => Promise.resolve(),
  }
}

async function run<Row extends object>(
  runner: pg.Pool | pg.PoolClient,
  text: string,
  values?: readonly unknown[],
): Promise<Row[]> {
  const result = await runner.query<Row>(text, values === undefined ? undefined : [...values])
  return result.rows
}

async function connect(pool: pg.Pool): Promise<pg.PoolClient> {
  try {
    return await pool.connect()
  } catch (cause) {
    throw new CofferError('SERVICE_UNAVAILABLE', 'the catalog database does not answer', { cause })
  }
}

async function transaction<T>(pool: pg.Pool, work: (tx: Db) => Promise<T>): Promise<T> {
  const client = await connect(pool)
  let broken: Error | undefined
  try {
    await client.query('BEGIN')
    const result = await work({ query: (text, values) => run(client, text, values) })
    await client.query('COMMIT')
    return result
  } catch (error) {
    await client.query('ROLLBACK').catch((rollbackError: unknown) => {
      broken = rollbackError as Error
    })
    throw error
  } finally {
    client.release(broken)
  }
}

async function retrying<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work()
    } catch (error) {
      if (tries === TRANSACTION_TRIES || !RETRYABLE.has(sqlState(error))) throw error
    }
  }
}

/** A holder that says nothing for so long is frozen, or cut off: the server ends its session, and with it the lock. */
const SILENCE_MS = 15_000
const SIGN_OF_LIFE_MS = 4_000

async function exclusively<T>(pool: pg.Pool, name: string, work: () => Promise<T>): Promise<T | null> {
  const client = await connect(pool)
  let broken: Error | undefined
  try {
    const [row] = await run<{ locked: boolean }>(client, 'SELECT pg_try_advisory_lock(hashtext($1)) AS locked', [name])
    if (!row?.locked) return null
    await client.query(`SET idle_session_timeout = ${SILENCE_MS}`)
    const life = setInterval(() => void client.query('SELECT').catch(() => undefined), SIGN_OF_LIFE_MS)
    try {
      return await work()
    } finally {
      clearInterval(life)
      // A session that could not unlock is thrown away, and its lock with it.
      await client
        .query('RESET idle_session_timeout')
        .then(() => client.query('SELECT pg_advisory_unlock(hashtext($1))', [name]))
        .catch((error: unknown) => {
          broken = error as Error
        })
    }
  } finally {
    client.release(broken)
  }
}

/** The SQLSTATE of a thrown value, or the empty string. */
export function sqlState(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

/** The constraint that a thrown unique violation names, or the empty string. */
export function violatedConstraint(error: unknown): string {
  if (sqlState(error) !== '23505') return ''
  return error instanceof Error && 'constraint' in error && typeof error.constraint === 'string' ? error.constraint : ''
}
