import type { Problem } from './problem.ts'

export const EXIT = { done: 0, failed: 1, usage: 2, partial: 3, notFound: 4, refused: 5, timedOut: 6 } as const
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** Codes whose meaning differs from what their HTTP status says. */
const BY_CODE: Record<string, ExitCode> = {
  CONFIG_INVALID: EXIT.usage,
  CONNECTION_REFUSED_BY_POLICY: EXIT.refused,
  EGRESS_REFUSED: EXIT.refused,
  WAIT_TIMED_OUT: EXIT.timedOut,
}

const BY_STATUS: Record<number, ExitCode> = {
  400: EXIT.usage,
  401: EXIT.refused,
  403: EXIT.refused,
  404: EXIT.notFound,
  409: EXIT.refused,
  410: EXIT.notFound,
  413: EXIT.usage,
  415: EXIT.usage,
  422: EXIT.usage,
  429: EXIT.refused,
}

export function exitCodeOfProblem(problem: Problem): ExitCode {
  return BY_CODE[problem.code] ?? BY_STATUS[problem.status] ?? EXIT.failed
}

/** Of a backup or a restore that was waited for: SUCCESS is done, PARTIAL partial, everything else failed. */
export function exitCodeOfOutcome(success: string | null): ExitCode {
  if (success === 'SUCCESS') return EXIT.done
  return success === 'PARTIAL' ? EXIT.partial : EXIT.failed
}
