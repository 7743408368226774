import { z } from 'zod'
import { FAILURES, toCofferError } from '../shared/errors.ts'

/** A problem document (RFC 9457) as the producer sends it and as `--json` prints it. */
export const Problem = z.looseObject({
  type: z.string().default('about:blank'),
  title: z.string(),
  status: z.int(),
  code: z.string(),
  detail: z.string(),
  remedy: z.string().optional(),
  errors: z.array(z.looseObject({ field: z.string(), message: z.string() })).optional(),
  request_id: z.string().optional(),
})
export type Problem = z.infer<typeof Problem>

/** What the producer refused or failed to do, in its own words. Its codes may be newer than this program. */
export class ProducerProblem extends Error {
  readonly problem: Problem

  constructor(problem: Problem) {
    super(problem.detail)
    this.name = 'ProducerProblem'
    this.problem = problem
  }
}

/** Anything thrown, as a problem document. */
export function toProblem(thrown: unknown): Problem {
  if (thrown instanceof ProducerProblem) return thrown.problem
  const { code, message, remedy, details } = toCofferError(thrown)
  return {
    type: 'about:blank',
    title: code,
    status: FAILURES[code].status,
    code,
    detail: message,
    // INTERNAL's remedy speaks of a process with a log; this one has none.
    ...(code === 'INTERNAL' ? {} : { remedy }),
    ...(Object.keys(details).length > 0 ? { details } : {}),
  }
}

/** For a person: what happened, the fields that this does not name yet, then what to do next. */
export function problemLines(problem: Problem): string[] {
  return [
    `error: ${problem.detail}`,
    ...(problem.errors ?? [])
      .map(({ field, message }) => `${field}: ${message}`)
      .filter((line) => !problem.detail.includes(line))
      .map((line) => `  ${line}`),
    ...(problem.remedy === undefined ? [] : [`remedy: ${problem.remedy}`]),
    ...(problem.request_id === undefined ? [] : [`request: ${problem.request_id}`]),
  ]
}
