import { fileURLToPath } from 'node:url'
import { requireScheme, type Connection } from '../shared/connections.ts'
import type { ServiceType } from '../shared/domain/states.ts'
import { CofferError } from '../shared/errors.ts'
import { resolveMediaRoot } from '../shared/media/root.ts'
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
  { mediaRoots, forbidden }: Pick<ProducerSettings, 'mediaRoots' | 'forbidden'>,
): Promise<void> {
  try {
    requireScheme(type, connection)
    if (type === 'DATABASE') parsePostgresUrl(connection.url)
    else await checkFolder(connection.url, { allowedRoots: mediaRoots, forbidden })
  } catch (error) {
    if (!(error instanceof CofferError)) throw error
    throw new CofferError(error.code, error.message, { cause: error, details: { field: 'connection.url' } })
  }
}

interface FolderPolicy {
  allowedRoots: readonly string[]
  forbidden: readonly string[]
}

async function checkFolder(url: string, policy: FolderPolicy): Promise<void> {
  try {
    await resolveMediaRoot(url, policy)
  } catch (error) {
    if (!(error instanceof CofferError) || !['MEDIA_ROOT_MISSING', 'MEDIA_UNREADABLE'].includes(error.code)) throw error
    const path = fileURLToPath(url)
    const isUnder = (folder: string) => path === folder || path.startsWith(`${folder}/`)
    const allowed = policy.allowedRoots.find(isUnder)
    if (allowed === undefined) throw refused(path, 'does not lie under an allowed root')
    const reached = policy.forbidden.find((folder) => isUnder(folder) && !allowed.startsWith(`${folder}/`))
    if (reached !== undefined) throw refused(path, `lies under ${reached}, which is Coffer's own`)
  }
}

const refused = (path: string, why: string) =>
  new CofferError('CONNECTION_REFUSED_BY_POLICY', `the media folder ${path} ${why}`)
