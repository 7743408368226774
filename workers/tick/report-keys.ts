import { hostname } from 'node:os'
import { raiseAlert, resolveAlert } from '../../shared/catalog/alerts.ts'
import { listKeyReports, reportKeys } from '../../shared/catalog/key-reports.ts'
import { recipientsInUse } from '../../shared/catalog/recipients.ts'
import { identitiesIfThere } from '../../shared/identities.ts'
import { checkKeys } from '../../shared/keys-check.ts'
import type { WorkerContext } from '../run-processor.ts'

export const REPORT_SECONDS = 60
/** Longer than one report that is missed. */
const LIFE_SECONDS = 3 * REPORT_SECONDS

type KeysContext = Pick<WorkerContext, 'catalog' | 'config' | 'clock' | 'log' | 'owner'>

/**
 * Says what this worker's identities open of what is written now, and raises an alert where that is nothing: for this worker, when it was
 * given a file of identities; for all, when no running worker opens it, so that no restore and no drill can succeed.
 */
export async function reportOwnKeys({ catalog, config, clock, log, owner }: KeysContext): Promise<void> {
  const { COFFER_AGE_RECIPIENTS: given, COFFER_AGE_IDENTITY_FILE: file } = config
  const recipients = await recipientsInUse(catalog, given)
  const { loaded, opens, problem } = await checkKeys(recipients, await identitiesIfThere(file), file)
  const name = `worker on ${hostname()}`
  await reportKeys(catalog, owner, { name, loaded, opens }, LIFE_SECONDS)
  if (problem !== null) log.error({ problem }, 'the keys of this worker do not open what is written now')
  const setAlert = (subject: string, message: string | null) =>
    message === null
      ? resolveAlert(catalog, { kind: 'keys', subject }, clock())
      : raiseAlert(catalog, { kind: 'keys', subject, environmentId: null, message }, clock())
  await setAlert(name, problem && `${name}: ${problem}`)
  const canOpen = recipients.length === 0 || (await listKeyReports(catalog)).some((report) => report.opens.length > 0)
  await setAlert(
    'all workers',
    canOpen ? null : 'no running worker can open what is written now: every restore, verification and drill will fail',
  )
}
