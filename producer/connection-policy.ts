import { requireScheme, type Connection } from '../shared/connections.ts'
import type { ServiceType } from '../shared/domain/states.ts'
import { CofferError } from '../shared/errors.ts'
import { resolveMediaTarget } from '../shared/media/root.ts'
import { parsePostgresUrl } from '../shared/postgres/connection.ts'
import type { ProducerSettings } from './producer.ts'

/**
 * Refuses at registration what no worker may ever use. A folder that doesn't exist on this machine may exist on a worker's, so there
 * only its path is judged; workers judge the real path again at each run.
 *
 * @throws CONNECTION_INVALID, CONNECTION_REFUSED_BY_POLICY, both naming the field
 */
export async function checkConnection(
  type: ServiceType,
  connection: Connection,
  { media }: Pick<ProducerSettings, 'media'>,
): Promise<void> {
  try {
    requireScheme(type, connection)
    if (type === 'DATABASE') parsePostgresUrl(connection.url)
    else await resolveMediaTarget(connection.url, media)
  } catch (error) {
    if (!(error instanceof CofferError)) throw error
    throw new CofferError(error.code, error.message, { cause: error, details: { field: 'connection.url' } })
  }
}
