import { CofferError, type FailureCode } from '../errors.ts'
import type { ChildFailure } from '../pipeline/child.ts'
import { describeConnection, type PostgresConnection } from './connection.ts'

const TAIL_CHARACTERS = 2_000

const BY_SQLSTATE: Record<string, FailureCode> = {
  '28000': 'SOURCE_AUTH_FAILED',
  '28P01': 'SOURCE_AUTH_FAILED',
  '3D000': 'SOURCE_DATABASE_UNKNOWN',
  '42501': 'SOURCE_PERMISSION_DENIED',
}

// Client programs print no SQLSTATE. In another language than English a message falls through to the general code.
const BY_TEXT: readonly (readonly [RegExp, FailureCode])[] = [
  [/server version mismatch/, 'SERVER_VERSION_UNSUPPORTED'],
  [/canceling statement due to (lock|statement) timeout.*LOCK TABLE/s, 'SOURCE_LOCKED'],
  [/password authentication failed|no password supplied|no pg_hba\.conf entry/, 'SOURCE_AUTH_FAILED'],
  [/failed: FATAL: {2}database ".*" does not exist/s, 'SOURCE_DATABASE_UNKNOWN'],
  [/permission denied|row-level security/, 'SOURCE_PERMISSION_DENIED'],
  [/connection to server .* failed|could not translate host name|could not connect to server/s, 'SOURCE_UNREACHABLE'],
]

/** What a failed conversation with the server means; an error of ours, or an abort, stays what it is. */
export function connectionFailure(error: unknown, connection: PostgresConnection): CofferError {
  if (error instanceof CofferError) return error
  const { code, message } = summarize(error)
  const isPasswordMissing = message.startsWith('SASL:')
  const failure = isPasswordMissing ? 'SOURCE_AUTH_FAILED' : (BY_SQLSTATE[code] ?? 'SOURCE_UNREACHABLE')
  return new CofferError(failure, `${describeConnection(connection)}: ${scrub(message || code, connection)}`)
}

/** What pg_dump's end means, by what it printed; `general` where the text tells nothing more. */
export function programFailure(
  program: string,
  exit: ChildFailure,
  connection: PostgresConnection,
  general: 'DUMP_FAILED' | 'RESTORE_FAILED',
): CofferError {
  const tail = scrub(exit.stderrTail, connection).trim().slice(-TAIL_CHARACTERS)
  const ended = exit.signal === null ? `exited with ${exit.code ?? 'nothing'}` : `was killed by ${exit.signal}`
  const code = general === 'DUMP_FAILED' ? (BY_TEXT.find(([text]) => text.test(tail))?.[1] ?? general) : general
  return new CofferError(code, `${program} on ${describeConnection(connection)} ${ended}${tail && `: ${tail}`}`, {
    details: { exit_code: exit.code, exit_signal: exit.signal },
  })
}

const SERVER_GAVE_UP =
  /server closed the connection unexpectedly|no connection to the server|connection to server .* failed|terminating connection|the database system is (shutting down|starting up|in recovery mode)|No space left on device|ERROR: {2}out of memory/s

/** Whether a restore failed by its server, or by the machine that ended its program: that says nothing about the dump. */
export function hasServerGivenUp({ code, message, details }: CofferError): boolean {
  return code === 'RESTORE_FAILED' && (details['exit_signal'] === 'SIGKILL' || SERVER_GAVE_UP.test(message))
}

function scrub(text: string, { password }: PostgresConnection): string {
  return password === '' ? text : text.replaceAll(password, '***')
}

/** An address that resolves to several is refused by all of them at once, as an AggregateError without a message. */
function summarize(error: unknown): { code: string; message: string } {
  const first = error instanceof AggregateError ? (error.errors[0] as unknown) : error
  if (!(first instanceof Error)) return { code: '', message: String(first) }
  const { code = '' } = first as NodeJS.ErrnoException
  return { code, message: first.message }
}
