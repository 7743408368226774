import type { VerificationOutcome } from '../../shared/domain/verification.ts'
import { CofferError, toCofferError, type FailureCode } from '../../shared/errors.ts'

export interface Verdict {
  outcome: VerificationOutcome
  /** null unless it passed. */
  report: Record<string, unknown> | null
  /** null when it passed. */
  error: CofferError | null
}

/** What is not named here tells nothing about the backup: something that is needed to look at it was away. */
const OUTCOMES: Partial<Record<FailureCode, VerificationOutcome>> = {
  ARTIFACT_CORRUPT: 'corrupt',
  OBJECT_NOT_FOUND: 'lost',
  CONTENTS_DIFFER: 'failed',
  DUMP_INVALID: 'failed',
  ARCHIVE_INVALID: 'failed',
  TARGET_INCOMPATIBLE: 'failed',
  RESTORE_FAILED: 'failed',
  RESTORE_MISMATCH: 'failed',
}

export const outcomeOf = ({ code }: CofferError): VerificationOutcome => OUTCOMES[code] ?? 'unreadable'

/**
 * Looks, and looks again before anything bad is said: what is corrupt or lost must be so twice, since the bytes may have been spoilt on the
 * way (F31); and what failed has failed only if the bytes are proven to be right.
 *
 * @param attempt the whole verification; @param proveBytes what of it shows whether the stored bytes are those that were sealed
 * @throws the signal's reason
 */
export async function judge(
  attempt: () => Promise<Record<string, unknown>>,
  proveBytes: () => Promise<unknown>,
  signal: AbortSignal,
): Promise<Verdict> {
  const first = await look(attempt, signal)
  if (first.outcome === 'passed' || first.outcome === 'unreadable') return first
  const bytes = await look(proveBytes, signal)
  if (bytes.error) return bytes
  if (first.outcome === 'failed') return first
  const again = await look(attempt, signal)
  if (again.report) return { ...again, report: { ...again.report, read_again_because: first.error?.message } }
  // The bytes were right when nothing else was asked of them: it is what they hold that is refused.
  return again.outcome === 'unreadable' ? again : { ...again, outcome: 'failed' }
}

async function look(work: () => Promise<unknown>, signal: AbortSignal): Promise<Verdict> {
  try {
    return { outcome: 'passed', report: (await work()) as Record<string, unknown>, error: null }
  } catch (thrown) {
    signal.throwIfAborted()
    const error = toCofferError(thrown)
    return { outcome: outcomeOf(error), report: null, error }
  }
}
