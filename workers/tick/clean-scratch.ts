import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { endedVerifications } from '../../shared/catalog/verification-runs.ts'
import { removeTree } from '../../shared/media/remove-tree.ts'
import { errnoOf } from '../../shared/media/system-calls.ts'
import { dropScratch, listScratches } from '../../shared/postgres/scratch.ts'
import type { WorkerContext } from '../run-processor.ts'
import { databaseOwner, drillServer, folderOwner, scratchDatabase, scratchRoot } from '../verify/scratch.ts'

type CleanContext = Pick<WorkerContext, 'catalog' | 'config' | 'log'>

/**
 * Removes what drills of dead workers have left: the folders of this machine, and the databases of the drill server. Only what is named after
 * a verification that this catalog knows and that has ended: another Coffer's drills may lie beside.
 */
export async function cleanScratch(context: CleanContext): Promise<void> {
  await cleanFolders(context)
  if (context.config.COFFER_DRILL_DATABASE_URL !== undefined)
    await context.catalog.exclusively('coffer scratch', () => cleanDatabases(context))
}

async function cleanFolders({ catalog, config, log }: CleanContext): Promise<void> {
  const root = scratchRoot(config)
  const names = await readdir(root).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  })
  const owners = new Map(names.flatMap((name) => [[folderOwner(name), name] as const]).filter(isOwned))
  for (const id of await endedVerifications(catalog, [...owners.keys()])) {
    await removeTree(join(root, owners.get(id) ?? ''))
    log.warn({ verification: id }, 'the folder that a drill has left was removed')
  }
}

async function cleanDatabases({ catalog, config, log }: CleanContext): Promise<void> {
  const server = drillServer(config)
  try {
    const names = (await listScratches(server)).map(({ name }) => name)
    const owners = names.map(databaseOwner).filter((id) => id !== null)
    for (const id of await endedVerifications(catalog, owners)) {
      const { name, marker } = scratchDatabase(id)
      await dropScratch(server, name, marker)
      log.warn({ verification: id }, 'the database that a drill has left was dropped')
    }
  } catch (error) {
    log.warn({ err: error }, 'the drill server could not be cleaned; the next tick tries again')
  }
}

const isOwned = (entry: readonly [string | null, string]): entry is readonly [string, string] => entry[0] !== null
