import type { VerificationResult } from '../../shared/catalog/verification-results.ts'
import { applyResult, passMetadata } from '../../shared/catalog/verification-results.ts'
import { listSubjects, type VerificationSubject } from '../../shared/catalog/verification-subjects.ts'
import { worstOutcome, type VerificationOutcome } from '../../shared/domain/verification.ts'
import type { CofferError } from '../../shared/errors.ts'
import type { Life } from '../life.ts'
import type { WorkerContext } from '../run-processor.ts'
import { checkMetadata } from './check-metadata.ts'
import { judge, type Verdict } from './judge.ts'

const PAGE = 200
const AT_ONCE = 8
const LISTED = 100
const FIRST_ID = '00000000-0000-0000-0000-000000000000'
/** Of a store that is away, or refuses us, the next backup would tell nothing else, after as long a wait. */
const STORE_AWAY = new Set(['STORE_UNREACHABLE', 'STORE_REFUSED'])

export interface EnvironmentVerdict {
  outcome: VerificationOutcome
  report: Record<string, unknown>
  /** Of the first that could not be read. */
  unreadable: CofferError | null
}

/** The metadata of every sealed backup of an environment. Each result is written as it comes; a second run changes nothing. */
export async function verifyEnvironment(
  context: WorkerContext,
  environmentId: string,
  life: Pick<Life, 'signal' | 'report'>,
): Promise<EnvironmentVerdict> {
  const begun = performance.now()
  const counts: Partial<Record<VerificationOutcome, number>> = {}
  const notPassed: Record<string, unknown>[] = []
  const away = new Map<string, CofferError>()
  let unreadable: CofferError | null = null
  let checked = 0
  for (let after = FIRST_ID; ;) {
    const subjects = await listSubjects(context.catalog, environmentId, { after, limit: PAGE })
    const passed: string[] = []
    await eachOf(subjects, async (subject) => {
      const { outcome, error } = await lookAt(context, subject, away, life.signal)
      counts[outcome] = (counts[outcome] ?? 0) + 1
      life.report({ files: ++checked })
      if (error === null) passed.push(subject.id)
      else {
        if (outcome === 'unreadable') unreadable ??= error
        else await record(context, subject, { level: 'metadata', outcome, message: error.message })
        if (notPassed.length < LISTED)
          notPassed.push({ service_instance_backup: subject.id, outcome, code: error.code, message: error.message })
      }
    })
    await context.catalog.transaction((tx) => passMetadata(tx, passed, context.clock()))
    const last = subjects.at(-1)
    if (!last || subjects.length < PAGE) break
    after = last.id
  }
  const seconds = Math.round((performance.now() - begun) / 10) / 100
  const outcome = worstOutcome(Object.keys(counts) as VerificationOutcome[])
  return { outcome, report: { checked, ...counts, not_passed: notPassed, seconds }, unreadable }
}

async function lookAt(
  { stores, secrets }: WorkerContext,
  subject: VerificationSubject,
  away: Map<string, CofferError>,
  signal: AbortSignal,
): Promise<Verdict> {
  signal.throwIfAborted()
  const { storeUrl } = subject
  const known = away.get(storeUrl)
  if (known) return { outcome: 'unreadable', report: null, error: known }
  const look = async () => ({
    artifacts: (await checkMetadata(secrets, stores.open(storeUrl), subject)).artifacts.length,
  })
  const verdict = await judge(look, look, signal)
  if (verdict.error && STORE_AWAY.has(verdict.error.code)) away.set(storeUrl, verdict.error)
  return verdict
}

const record = ({ catalog, clock }: WorkerContext, subject: VerificationSubject, result: VerificationResult) =>
  catalog.transaction((tx) => applyResult(tx, subject, result, clock()))

async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values()
  const takeRest = async () => {
    for (const item of rest) await work(item)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, takeRest))
}
