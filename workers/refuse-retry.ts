import { CofferError } from '../shared/errors.ts'
import type { BellJob } from './run-processor.ts'

/**
 * Of a job whose work has ended: Bull Board's Retry must not turn red into green with nothing done. @throws CONFLICT where somebody
 * pressed it
 */
export function refuseRetry({ data, attemptsMade }: BellJob, what: string, command: string): void {
  if (attemptsMade === 0) return
  throw new CofferError(
    'CONFLICT',
    `${what} ${data.id} has ended and is not done again: ask for a new one (${command})`,
  )
}
