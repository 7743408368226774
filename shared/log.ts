import { pino, type DestinationStream, type Logger, type LoggerOptions } from 'pino'
import { scrub, scrubDeep } from './scrub.ts'

export type { Logger }

/** One JSON object a line, on standard output. Every string is scrubbed; errors are logged as message, code and stack, never as their fields. */
export function openLog(name: string, level: string, destination: DestinationStream = pino.destination(1)): Logger {
  const options: LoggerOptions = {
    name,
    level,
    base: { name, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: {
      level: (label) => ({ level: label }),
      log: (fields) => scrubDeep(fields) as Record<string, unknown>,
    },
    serializers: { err: describeError, error: describeError },
    hooks: {
      logMethod(args, method) {
        method.apply(this, args.map((arg: unknown) => (typeof arg === 'string' ? scrub(arg) : arg)) as typeof args)
      },
    },
  }
  return pino(options, destination)
}

function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return scrub(String(error))
  const code = 'code' in error ? String(error.code) : undefined
  return {
    message: scrub(error.message),
    ...(code === undefined ? {} : { code }),
    stack: scrub(error.stack ?? ''),
    ...(error.cause === undefined ? {} : { cause: describeError(error.cause) }),
  }
}
