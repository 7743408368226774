import { databasePolicy, isMetadataName } from '../shared/egress/policy.ts'
import { literalAddress, vetHost } from '../shared/egress/vet-host.ts'
import { requireScheme, type Connection } from '../shared/connections.ts'
import type { ServiceType } from '../shared/domain/states.ts'
import { CofferError } from '../shared/errors.ts'
import { resolveMediaTarget } from '../shared/media/root.ts'
import { parsePostgresUrl } from '../shared/postgres/connection.ts'
import type { Scope } from '../shared/catalog/scope.ts'
import type { ProducerSettings } from './producer.ts'

/**
 * Refuses at registration what no worker may ever use. A folder that doesn't exist on this machine may exist on a worker's, so there
 * only its path is judged; workers judge the real path again at each run. So it is with a host that only workers can resolve, when an
 * admin of the whole installation names it; an organisation's must be found here, and allowed by the egress policy.
 *
 * @throws CONNECTION_INVALID, CONNECTION_REFUSED_BY_POLICY, EGRESS_REFUSED, HOST_UNKNOWN, all naming the field
 */
export async function checkConnection(
  type: ServiceType,
  connection: Connection,
  { media, egress }: Pick<ProducerSettings, 'media' | 'egress'>,
  { organisationId }: Scope,
): Promise<void> {
  try {
    requireScheme(type, connection)
    if (type === 'DATABASE') {
      const { host } = parsePostgresUrl(connection.url)
      if (organisationId !== null) await vetHost(host, egress)
      else if (literalAddress(host) || isMetadataName(host)) await vetHost(host, databasePolicy)
    } else await resolveMediaTarget(connection.url, media)
  } catch (error) {
    if (!(error instanceof CofferError)) throw error
    throw new CofferError(error.code, error.message, { cause: error, details: { field: 'connection.url' } })
  }
}
