import type { components } from './schema.ts'

export type Problem = components['schemas']['Problem']
/** Stable: what went wrong, for programs. */
export type Code = Problem['code']

/** The producer refused or failed, and said why. */
export class CofferProblem extends Error {
  override readonly name = 'CofferProblem'
  readonly code: Code
  readonly status: number
  /** What to do next. */
  readonly remedy: string
  readonly problem: Problem

  constructor(problem: Problem) {
    super(problem.detail)
    this.code = problem.code
    this.status = problem.status
    this.remedy = problem.remedy
    this.problem = problem
  }
}

/** What answered is no Coffer, or nothing answered. */
export class CofferUnreachable extends Error {
  override readonly name = 'CofferUnreachable'
  readonly code = 'PRODUCER_UNREACHABLE'
}
