import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'
import type { Result } from './output.ts'
import { progressParts } from './backup-progress.ts'
import { errorLines } from './backup-report.ts'
import { openProgress } from './progress.ts'
import type { ProgressRow } from './progress.ts'
import { Rates } from './rate.ts'
import { StartedVerifications, Verification } from './resources/restores.ts'
import { fields, formatTime } from './text.ts'
import { deadline, waitUntil } from './waiting.ts'
import { checkWait, type WaitOptions } from './commands/wait-options.ts'

export const VERIFICATIONS = '/apps/v3/verifications/'

/** Asks for verifications and, where it is wanted, waits until all have ended. */
export async function startVerifications(context: Context, body: object, options: WaitOptions): Promise<Result> {
  checkWait(options)
  const { results } = await context.api.post(VERIFICATIONS, body, StartedVerifications)
  for (const one of results) context.output.note(`${one.level} verification ${one.uuid} of ${nameOf(one)} is queued`)
  if (options.wait !== true) return { document: results, lines: results.flatMap(verificationLines) }
  return followVerifications(context, results, options)
}

/** Shows how they go until all have ended. */
export async function followVerifications(
  context: Context,
  results: readonly Verification[],
  options: WaitOptions,
): Promise<Result & { document: Verification[] }> {
  using limit = deadline(options.timeout, 'the verification', { verifications: results.map(({ uuid }) => uuid) })
  const api = context.api.until(limit.signal)
  const rates = new Rates()
  using display = openProgress(context.output, context.now)
  const ended = await waitUntil(
    () => Promise.all(results.map(({ uuid }) => api.get(`${VERIFICATIONS}${uuid}/`, Verification))),
    (all) => all.every(({ state }) => state === 'COMPLETED'),
    (all) => display.show(all.map((one) => rowOf(one, rates))),
    { ...context, signal: api.signal },
  )
  return { document: ended, lines: ended.flatMap(verificationLines), exit: exitCodeOfVerifications(ended) }
}

/** Passed is done; what could not be read tells nothing and is partial; everything else failed. */
export function exitCodeOfVerifications(all: readonly Pick<Verification, 'outcome'>[]): ExitCode {
  const outcomes = new Set(all.map(({ outcome }) => outcome))
  if ([...outcomes].some((outcome) => outcome !== 'passed' && outcome !== 'unreadable')) return EXIT.failed
  return outcomes.has('unreadable') ? EXIT.partial : EXIT.done
}

export const nameOf = ({ service_type: type, prefix }: Verification): string =>
  prefix === null ? 'the whole environment' : `${type ?? ''} ${prefix}`

function rowOf(one: Verification, rates: Rates): ProgressRow {
  const rate = rates.of(one)
  const how = one.progress ? progressParts(one.progress, rate) : [(one.outcome ?? one.state).toLowerCase()]
  return { key: one.uuid, state: one.state, line: [`${one.level} ${nameOf(one)}`, ...how].join('  ') }
}

export function verificationLines(one: Verification): string[] {
  const { uuid, level, outcome, state, ended_at: ended, report, errors } = one
  return [
    ...fields({
      verification: uuid,
      of: nameOf(one),
      level,
      result: outcome ?? state.toLowerCase(),
      ...(ended ? { ended: formatTime(ended) } : {}),
    }),
    ...Object.entries(report ?? {}).map(
      ([name, value]) => `  ${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`,
    ),
    ...errors.flatMap(errorLines),
  ]
}
