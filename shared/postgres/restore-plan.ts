import type { DumpContents } from '../domain/manifest.ts'
import { isEverything, type Selection } from '../domain/selection.ts'
import { toCofferError } from '../errors.ts'
import { chooseRestoreClient, majorOf, type PostgresClient } from './clients.ts'
import type { PostgresConnection } from './connection.ts'
import { partArchive, type Place } from './left-out.ts'
import { placeOf } from './restore-in-place.ts'
import { FIRST_MAJOR_OWNING_PUBLIC } from './restore-into-scratch.ts'
import { planTables } from './restore-tables.ts'
import type { ArchiveContents } from './rewrite-archive.ts'
import { readSurroundings, selectTables } from './selected-tables.ts'
import { withSession } from './session.ts'
import { compareServers, lookAtTarget, type Target } from './target.ts'

/** `swap`: into a scratch database that takes the target's place; `in place`: in one transaction; `tables`: the selected ones, in one transaction. */
export type RestoreMethod = 'swap' | 'in place' | 'tables'

export interface RestorePlan {
  target: Target
  method: RestoreMethod
  findings: string[]
  leftOut: string[]
}

interface Wanted {
  connection: PostgresConnection
  clients: readonly PostgresClient[]
  contents: ArchiveContents
  expected: DumpContents
  selection: Selection
  signal?: AbortSignal | undefined
}

/**
 * Decides how a dump goes into a living database, and finds all that stands against it. Changes nothing. Free space can't be asked of a
 * PostgreSQL server, so that nothing is said of it.
 *
 * @throws what lookAtTarget throws
 */
export async function planRestore(wanted: Wanted): Promise<RestorePlan> {
  const target = await lookAtTarget(wanted.connection, wanted.expected, wanted.signal)
  const method = isEverything(wanted.selection) ? wholeMethod(target) : 'tables'
  const findings = [...compareServers(target, wanted.expected), ...clientFindings(wanted, target)]
  if (method === 'tables') return { target, method, ...(await planSelected(wanted, target, findings)) }
  const place = method === 'swap' ? freshPlace(target, wanted.expected) : placeOf(target)
  const restorable = partArchive(wanted.contents, place)
  findings.push(...restorable.findings, ...(method === 'swap' ? swapFindings(target) : inPlaceFindings(target)))
  return {
    target,
    method,
    findings,
    leftOut: [...restorable.leftOut, ...(method === 'swap' ? [...target.lostLocale, ...target.uncarriable] : [])],
  }
}

/** In place only where it must be: for want of rights, or for an extension that is there and that nobody could create again. */
function wholeMethod(target: Target): RestoreMethod {
  const { mayCreateDatabases, ownsDatabase, door, fates, freshFates } = target
  const wouldLose = [...fates].some(([name, fate]) => fate === 'present' && freshFates.get(name) === 'forbidden')
  return mayCreateDatabases && ownsDatabase && door !== null && !wouldLose ? 'swap' : 'in place'
}

function clientFindings({ clients, expected }: Wanted, target: Target): string[] {
  try {
    chooseRestoreClient(clients, majorOf(expected.client_version), target.major)
    return []
  } catch (error) {
    return [toCofferError(error).message]
  }
}

function swapFindings(target: Target): string[] {
  const { lastingSessions, preparedTransactions, replication, mayUseTablespace, tablespace, connection } = target
  return [
    ...(mayUseTablespace ? [] : [`${connection.user} may not create databases in the tablespace ${tablespace}`]),
    ...lastingSessions.map((role) => `${connection.user} can't end the sessions that ${role} has in the database`),
    ...(preparedTransactions > 0 ? [`${preparedTransactions} prepared transactions are open in the database`] : []),
    ...replication,
  ]
}

function inPlaceFindings(target: Target): string[] {
  const { isSuperuser, mayCreateSchemas, foreignObjects, connection } = target
  return [
    ...(isSuperuser
      ? [
          `${connection.user} is a superuser and can enter neither postgres nor template1, so that a dump would have all its rights`,
        ]
      : []),
    ...(mayCreateSchemas ? [] : [`the role ${connection.user} may not create schemas in it`]),
    ...(foreignObjects.length > 0
      ? [`${connection.user} can't drop what belongs to other roles: ${foreignObjects.join(', ')}`]
      : []),
  ]
}

async function planSelected(wanted: Wanted, target: Target, findings: readonly string[]) {
  const { expected, selection, contents, connection, signal } = wanted
  const { chosen } = selectTables(selection, expected)
  const surroundings = await withSession(connection, { signal }, (session) => readSurroundings(session, chosen))
  const planned = planTables({ contents, target, expected, selection, surroundings })
  return { findings: [...findings, ...planned.findings], leftOut: planned.leftOut }
}

function freshPlace(target: Target, expected: DumpContents): Place {
  const made = expected.extensions.filter(({ name }) => target.freshFates.get(name) === 'present')
  return {
    extensions: target.freshFates,
    schemas: new Set(made.map(({ schema }) => schema)),
    ownsPublic: target.major >= FIRST_MAJOR_OWNING_PUBLIC,
    roles: new Set(target.roles),
  }
}
