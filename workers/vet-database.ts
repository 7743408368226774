import type { Egress } from '../shared/catalog/service-instances.ts'
import { databasePolicy, egressPolicy } from '../shared/egress/policy.ts'
import { vetHost } from '../shared/egress/vet-host.ts'
import { CofferError } from '../shared/errors.ts'
import { parsePostgresUrl, type PostgresConnection } from '../shared/postgres/connection.ts'

/**
 * The connection with the addresses to connect to, found and judged now: what a name led to when it was registered, it need not any more.
 * @throws CONNECTION_INVALID, EGRESS_REFUSED, SOURCE_UNREACHABLE (its host is not found)
 */
export async function vetDatabase(
  url: string,
  egress: Egress,
  { COFFER_EGRESS_ALLOW: allow }: { COFFER_EGRESS_ALLOW: readonly string[] },
): Promise<PostgresConnection> {
  const connection = parsePostgresUrl(url)
  const policy = egress === 'organisation' ? egressPolicy(allow) : databasePolicy
  const addresses = await vetHost(connection.host, policy).catch((error: unknown) => {
    if (!(error instanceof CofferError) || error.code !== 'HOST_UNKNOWN') throw error
    throw new CofferError('SOURCE_UNREACHABLE', error.message, { cause: error })
  })
  return { ...connection, addresses }
}
