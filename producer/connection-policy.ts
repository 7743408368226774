import { pathToFileURL } from 'node:url'
import { requireScheme, type Connection } from '../shared/connections.ts'
import type { ServiceType } from '../shared/domain/states.ts'
import { CofferError } from '../shared/errors.ts'
import { resolveMediaTarget, type RootPolicy } from '../shared/media/root.ts'
import { parsePostgresUrl } from '../shared/postgres/connection.ts'
import type { ProducerSettings } from './producer.ts'

/**
 * Refuses at registration what no worker may ever use. A folder that doesn't exist on this machine may exist on a worker's, so there
 * only its path is judged; workers judge the real path again at each run.
 *
 * @param organisationRoots the media roots of the organisation whose token asks; null: all that the operator allows
 * @throws CONNECTION_INVALID, CONNECTION_REFUSED_BY_POLICY, both naming the field
 */
export async function checkConnection(
  type: ServiceType,
  connection: Connection,
  { media, organisationRoots }: Pick<ProducerSettings, 'media'> & { organisationRoots: readonly string[] | null },
): Promise<void> {
  await namingField('connection.url', async () => {
    requireScheme(type, connection)
    if (type === 'DATABASE') parsePostgresUrl(connection.url)
    else await checkFolder(connection.url, media, organisationRoots)
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
