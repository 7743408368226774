import { expect, test } from 'vitest'
import { exitCodeOfOutcome, exitCodeOfProblem } from '../../cli/exit-codes.ts'
import { problemLines, toProblem } from '../../cli/problem.ts'
import { CofferError, FAILURES } from '../../shared/errors.ts'
import type { FailureCode } from '../../shared/errors.ts'

const EXPECTED: Partial<Record<FailureCode, number>> = {
  USAGE_INVALID: 2,
  CONFIG_INVALID: 2,
  REQUEST_INVALID: 2,
  REQUEST_MALFORMED: 2,
  REQUEST_TOO_LARGE: 2,
  MEDIA_TYPE_UNSUPPORTED: 2,
  CONNECTION_INVALID: 2,
  NOT_FOUND: 4,
  OBJECT_NOT_FOUND: 4,
  LINK_EXPIRED: 4,
  UNAUTHENTICATED: 5,
  FORBIDDEN: 5,
  CONFLICT: 5,
  CONNECTION_REFUSED_BY_POLICY: 5,
  TARGET_NOT_EMPTY: 5,
  TARGET_INCOMPATIBLE: 5,
  OUTPUT_EXISTS: 5,
  TOO_MANY_ATTEMPTS: 5,
  RATE_LIMITED: 5,
  IDEMPOTENCY_KEY_BUSY: 5,
  IDEMPOTENCY_KEY_REUSED: 2,
  RUN_FENCED: 5,
  HELD: 5,
  GUARD_REFUSED: 5,
  CONFIRMATION_REQUIRED: 5,
  PLAN_INVALID: 5,
  RUN_MISSED: 5,
  RUN_CANCELLED: 5,
  CONNECTION_MISSING: 5,
  STORE_OCCUPIED: 5,
  KEYS_UNREADABLE: 5,
  EGRESS_REFUSED: 5,
  HOST_UNKNOWN: 2,
  UPLOAD_EXPIRED: 4,
  QUARANTINED: 5,
  RESTORE_UNCONFIRMED: 5,
  WAIT_TIMED_OUT: 6,
}

test.each(Object.keys(FAILURES) as FailureCode[])(
  '%s ends with its exit code, 1 where nothing else is said',
  (code) => {
    expect(exitCodeOfProblem(toProblem(new CofferError(code, 'it happened')))).toBe(EXPECTED[code] ?? 1)
  },
)

test.each([
  ['SUCCESS', 0],
  ['PARTIAL', 3],
  ['FAILURE', 1],
  ['CANCELLED', 1],
  ['SOMETHING_NEW', 1],
  [null, 1],
])('a backup that ended as %s ends the command with %d', (outcome, code) => {
  expect(exitCodeOfOutcome(outcome)).toBe(code)
})

test('a problem of this program carries code, status, remedy and details; something unforeseen has no remedy to offer', () => {
  expect(toProblem(new CofferError('WAIT_TIMED_OUT', 'late', { details: { backup: 'b' } }))).toEqual({
    type: 'about:blank',
    title: 'WAIT_TIMED_OUT',
    status: 504,
    code: 'WAIT_TIMED_OUT',
    detail: 'late',
    remedy: FAILURES.WAIT_TIMED_OUT.remedy,
    details: { backup: 'b' },
  })
  expect(toProblem(new TypeError('x is undefined'))).toMatchObject({ code: 'INTERNAL', detail: 'x is undefined' })
  expect(toProblem(new TypeError('x is undefined'))).not.toHaveProperty('remedy')
})

test('a field that the detail names already is not told twice', () => {
  const errors = [
    { field: 'slug', message: 'is taken' },
    { field: 'name', message: 'is too long' },
  ]
  const problem = { ...toProblem(new CofferError('REQUEST_INVALID', 'not valid: slug: is taken')), errors }
  expect(problemLines(problem).slice(0, 2)).toEqual(['error: not valid: slug: is taken', '  name: is too long'])
})
