import { Socket, type TcpSocketConnectOpts } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import pg from 'pg'
import { answering } from '../egress/request.ts'
import { readCertificates, trustedCertificates } from './certificates.ts'
import type { PostgresConnection } from './connection.ts'
import { connectionFailure } from './failures.ts'

export interface SessionOptions {
  signal?: AbortSignal | undefined
  connectTimeoutMs?: number | undefined
  /** Longest wait for one answer; without it as long as the signal allows. */
  queryTimeoutMs?: number | undefined
}

export type Session = Pick<pg.Client, 'query'>

export const quoteIdentifier = pg.escapeIdentifier

const CONNECT_TIMEOUT_MS = 10_000

/**
 * Before all else: a database chooses by its settings what `=` means in it. Its limits, or those of the role, are for applications: pg_dump and
 * pg_restore lift them, too.
 */
const SETTINGS =
  'SET search_path = pg_catalog; SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0'

/**
 * Runs `work` in one session and ends it. The worker's own PG… variables and password files take no part, nor do the names that
 * anybody has put into the database's own schemas: what is meant there is named with its schema.
 *
 * @throws what connectionFailure makes of the driver's errors, or the signal's reason
 */
export async function withSession<T>(
  connection: PostgresConnection,
  options: SessionOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  options.signal?.throwIfAborted()
  try {
    const { client, socket } = await openPreferred(connection, options)
    try {
      const result = await work(client)
      await client.end()
      return result
    } finally {
      socket.destroy()
    }
  } catch (error) {
    options.signal?.throwIfAborted()
    throw connectionFailure(error, connection)
  }
}

// sslmode=prefer takes what it can get, as libpq does: TLS that nobody checks, else none.
async function openPreferred(connection: PostgresConnection, options: SessionOptions) {
  const tls = await tlsOptions(connection)
  if (connection.sslmode !== 'prefer') return open(connection, options, tls)
  try {
    return await open(connection, options, tls)
  } catch (error) {
    if (!(error instanceof Error) || error.message !== 'The server does not support SSL connections') throw error
    return open(connection, options, false)
  }
}

async function open(connection: PostgresConnection, options: SessionOptions, ssl: false | ConnectionOptions) {
  const socket = socketTo(connection, options.signal)
  const { host, port, user, password, database } = connection
  const client = new pg.Client({
    host,
    port,
    user,
    // As a function, since the driver takes an empty text for leave to look elsewhere.
    password: () => password,
    database,
    ssl,
    stream: () => socket,
    keepAlive: true,
    connectionTimeoutMillis: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    ...(options.queryTimeoutMs === undefined ? {} : { query_timeout: options.queryTimeoutMs }),
  })
  // A connection that breaks fails the query that waits; between two queries nobody would listen.
  client.on('error', () => undefined)
  try {
    await client.connect()
    // No startup option, which PgBouncer refuses.
    await client.query(SETTINGS)
    return { client, socket }
  } catch (error) {
    socket.destroy()
    throw error
  }
}

/** The driver connects its socket by name; one that was vetted asks no resolver again. */
function socketTo({ addresses }: PostgresConnection, signal: AbortSignal | undefined): Socket {
  const socket = new Socket(signal ? { signal } : {})
  if (!addresses) return socket
  const connect = socket.connect.bind(socket) as (options: TcpSocketConnectOpts) => Socket
  const vetted = (port: number, host: string) => connect({ port, host, lookup: answering(addresses) })
  return Object.assign(socket, { connect: vetted })
}

async function tlsOptions(connection: PostgresConnection): Promise<false | ConnectionOptions> {
  const { sslmode } = connection
  if (sslmode === 'disable') return false
  const file = await trustedCertificates(connection)
  if (file === undefined) return { rejectUnauthorized: sslmode.startsWith('verify-') }
  const ca = await readCertificates(file)
  return sslmode === 'verify-full' ? { ca } : { ca, checkServerIdentity: () => undefined }
}
