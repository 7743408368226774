import { hostname } from 'node:os'
import { raiseAlert, resolveAlert } from '../shared/catalog/alerts.ts'
import { recipientsInUse } from '../shared/catalog/recipients.ts'
import { checkKeys, type KeyState } from '../shared/keys-check.ts'
import type { Producer } from './producer.ts'

type KeyHolder = Pick<Producer, 'catalog' | 'clock' | 'log' | 'identities'> & {
  settings: Pick<Producer['settings'], 'recipients' | 'identityFile'>
}

/** What the producer's own identities open of what is written now. @throws CONFIG_INVALID */
export const keyState = async ({
  catalog,
  identities,
  settings,
}: Omit<KeyHolder, 'log' | 'clock'>): Promise<KeyState> =>
  checkKeys(await recipientsInUse(catalog, settings.recipients), identities, settings.identityFile)

/** The test at the start: says aloud, and by an alert, when the identities that were given open nothing. @throws CONFIG_INVALID */
export async function testKeys(holder: KeyHolder): Promise<void> {
  const { catalog, clock, log } = holder
  const { problem } = await keyState(holder)
  const subject = `producer on ${hostname()}`
  if (problem === null) return resolveAlert(catalog, { kind: 'keys', subject }, clock())
  log.error({ problem }, 'the keys of this producer do not open what is written now')
  const message = `${subject}: ${problem}`
  await raiseAlert(catalog, { kind: 'keys', subject, environmentId: null, message }, clock())
}
