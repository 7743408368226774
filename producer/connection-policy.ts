import { pathToFileURL } from 'node:url'
import { databasePolicy, isMetadataName } from '../shared/egress/policy.ts'
import { literalAddress, vetHost } from '../shared/egress/vet-host.ts'
import { requireScheme, type Connection } from '../shared/connections.ts'
import type { ServiceType } from '../shared/domain/states.ts'
import { CofferError } from '../shared/errors.ts'
import { resolveMediaTarget, type RootPolicy } from '../shared/media/root.ts'
import { parsePostgresUrl } from '../shared/postgres/connection.ts'
import type { ProducerSettings } from './producer.ts'

export interface ConnectionPolicy extends Pick<ProducerSettings, 'media' | 'egress'> {
  /** Whose admin registers it; null: an admin of the whole installation. `mediaRoots` null: all that the operator allows. */
  organisation: { mediaRoots: readonly string[] | null } | null
}

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
  { media, egress, organisation }: ConnectionPolicy,
): Promise<void> {
  await namingField('connection.url', async () => {
    requireScheme(type, connection)
    if (type === 'STORAGE') return checkFolder(connection.url, media, organisation?.mediaRoots ?? null)
    const { host, sslrootcert } = parsePostgresUrl(connection.url)
    if (organisation && sslrootcert !== undefined)
      throw new CofferError(
        'CONNECTION_REFUSED_BY_POLICY',
        'sslrootcert names a file of the workers, which only an admin of the whole installation may',
      )
    if (organisation) await vetHost(host, egress)
    else if (literalAddress(host) || isMetadataName(host)) await vetHost(host, databasePolicy)
  })
}

/** Roots of an organisation lie under the operator's. @throws CONNECTION_REFUSED_BY_POLICY, naming the field */
export async function checkMediaRoots(
  roots: readonly string[],
  { media }: Pick<ProducerSettings, 'media'>,
): Promise<void> {
  await namingField('media_roots', async () => {
    for (const root of roots) await resolveMediaTarget(pathToFileURL(root).href, media)
  })
}

async function checkFolder(url: string, media: RootPolicy, roots: readonly string[] | null): Promise<void> {
  await resolveMediaTarget(url, media)
  if (roots !== null) await resolveMediaTarget(url, { ...media, allowedRoots: roots })
}

async function namingField(field: string, check: () => Promise<void>): Promise<void> {
  try {
    await check()
  } catch (error) {
    if (!(error instanceof CofferError)) throw error
    throw new CofferError(error.code, error.message, { cause: error, details: { field } })
  }
}
