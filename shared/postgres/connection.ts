import type { Address } from '../egress/addresses.ts'
import { CofferError } from '../errors.ts'

export const SSL_MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const
export type SslMode = (typeof SSL_MODES)[number]

/** Where a database is and who may enter. Every value is literal: nothing in it is ever parsed again. */
export interface PostgresConnection {
  host: string
  port: number
  user: string
  /** The empty string: none. */
  password: string
  database: string
  sslmode: SslMode
  /** File with the certificates to trust; without it, `verify-ca` and `verify-full` trust the system's. */
  sslrootcert?: string
  /** Where the host was found to be, one at least: connect there and ask no resolver again. */
  addresses?: readonly Address[]
}

const SHAPE =
  /^postgres(?:ql)?:\/\/(?<user>[^:@/?#]+)(?::(?<password>[^:@/?#]*))?@(?<host>[^:@/?#[\]]+|\[[\da-f:.]+\])(?::(?<port>\d+))?\/(?<database>[^/?#]+)(?:\?(?<query>[^#]*))?$/i
const HOST_NAME = /^[a-z\d][a-z\d._-]*$/i
const DEFAULT_PORT = 5432

/**
 * Reads `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…`. Parts are percent-decoded once and then literal: a
 * database may be called `host=evil port=1`. One TCP host only; other query parameters are refused, since libpq gives several
 * of them the power to read files or to connect elsewhere.
 *
 * @throws CONNECTION_INVALID, whose message never shows the URL
 */
export function parsePostgresUrl(url: string): PostgresConnection {
  const parts = SHAPE.exec(url)?.groups
  if (!parts || hasControlCharacter(url)) {
    throw invalid('lacks its form, or special characters in one of its parts are not percent-encoded')
  }
  const host = parts['host']?.replace(/^\[|\]$/g, '') ?? ''
  if (!host.includes(':') && !HOST_NAME.test(host)) {
    throw invalid('names a host that is not one host name or address; sockets and lists of hosts are not supported')
  }
  const port = parts['port'] === undefined ? DEFAULT_PORT : Number(parts['port'])
  if (port < 1 || port > 65_535) throw invalid(`names port ${port}, which is not between 1 and 65535`)

  const password = decode(parts['password'] ?? '', 'password')
  if (/[\r\n]/.test(password)) throw invalid('has a line break in its password, which a password file cannot hold')
  return {
    host,
    port,
    user: decode(parts['user'] ?? '', 'user'),
    password,
    database: decode(parts['database'] ?? '', 'database'),
    ...parseQuery(parts['query'] ?? ''),
  }
}

/** `postgres://user@host:port/name` for messages: without the password, and not meant to be parsed again. */
export function describeConnection({ user, host, port, database }: PostgresConnection): string {
  return `postgres://${user}@${host.includes(':') ? `[${host}]` : host}:${port}/${database}`
}

function parseQuery(query: string): { sslmode: SslMode; sslrootcert?: string } {
  const values = new Map<string, string>()
  for (const pair of query.split('&').filter(Boolean)) {
    const at = pair.indexOf('=')
    const name = pair.slice(0, at < 0 ? undefined : at)
    if (name !== 'sslmode' && name !== 'sslrootcert') {
      throw invalid(`has the parameter ${JSON.stringify(name)}; only sslmode and sslrootcert are supported`)
    }
    if (values.has(name)) throw invalid(`has the parameter ${name} twice`)
    values.set(name, at < 0 ? '' : decode(pair.slice(at + 1), name))
  }
  const sslmode = values.get('sslmode') ?? 'prefer'
  if (!isSslMode(sslmode)) {
    throw invalid(`has sslmode=${JSON.stringify(sslmode)}, which is none of ${SSL_MODES.join(', ')}`)
  }
  const sslrootcert = values.get('sslrootcert')
  if (sslrootcert === undefined) return { sslmode }
  if (!sslrootcert.startsWith('/')) throw invalid('has an sslrootcert that is not an absolute path')
  return { sslmode, sslrootcert }
}

function isSslMode(text: string): text is SslMode {
  return (SSL_MODES as readonly string[]).includes(text)
}

function decode(text: string, part: string): string {
  let decoded
  try {
    decoded = decodeURIComponent(text)
  } catch {
    throw invalid(`has a ${part} that is not percent-encoded UTF-8`)
  }
  if (decoded.includes('\0')) throw invalid(`has a NUL character in its ${part}`)
  return decoded
}

function hasControlCharacter(text: string): boolean {
  return /\p{Cc}/u.test(text)
}

function invalid(what: string): CofferError {
  return new CofferError('CONNECTION_INVALID', `the URL of the PostgreSQL database ${what}`)
}
