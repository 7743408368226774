import type { DumpContents } from '../../shared/domain/manifest.ts'
import { CofferError } from '../../shared/errors.ts'
import { findPostgresClients, type PostgresClient } from '../../shared/postgres/clients.ts'
import { isCommitted, removeMarkers } from '../../shared/postgres/committed.ts'
import { describeConnection } from '../../shared/postgres/connection.ts'
import { recoverInPlace, restoreInPlace } from '../../shared/postgres/restore-in-place.ts'
import { refuseFindings, restoreIntoScratch } from '../../shared/postgres/restore-into-scratch.ts'
import { planRestore, type RestoreMethod, type RestorePlan } from '../../shared/postgres/restore-plan.ts'
import { restoreTables } from '../../shared/postgres/restore-tables.ts'
import { readContents } from '../../shared/postgres/rewrite-archive.ts'
import { dropScratch, scratchName } from '../../shared/postgres/scratch.ts'
import { requireStillEmpty } from '../../shared/postgres/server.ts'
import { withSession } from '../../shared/postgres/session.ts'
import { dropKept, findDoor, markerOfRestore, recoverSwap, swapBack, swapIn } from '../../shared/postgres/swap.ts'
import { reached } from '../../shared/steps.ts'
import { readPlain } from './restore-part.ts'
import { vetDatabase } from '../vet-database.ts'
import type { Restorer, RestorePart } from './restorer.ts'

type DatabasePart = RestorePart<DumpContents>

const METHODS: Record<RestoreMethod, string> = {
  swap: 'into a scratch database on the same server, which then takes the place of the old one; the old one is kept until confirmed',
  'in place':
    'in one transaction within the database, since its role may not put another in its place; nothing is kept of the old state',
  tables: 'the rows of the selected tables, in one transaction within the database; nothing is kept of the old state',
}

/** Restores dumps of PostgreSQL over living databases (docs/restore-postgresql.md). */
export const databaseRestorer: Restorer<DumpContents> = {
  async preflight(part) {
    const { target, method, findings, leftOut } = await plan(part)
    const keepsOldState = method === 'swap' && !target.isEmpty
    return { isEmpty: target.isEmpty, keepsOldState, method: METHODS[method], findings, leftOut }
  },

  async recover(part) {
    const { id, target, signal } = await partsOf(part)
    const door = await findDoor(target, signal)
    // First, since a killed swap may have left the target closed.
    const swapped = door ? await recoverSwap({ id, target, door, signal }) : 'as-before'
    return swapped === 'restored' ? swapped : await recoverInPlace(id, target, signal)
  },

  async forget({ connection, egress, config }, ended) {
    const target = await vetDatabase(connection.url, egress, config)
    await withSession(target, {}, (session) => removeMarkers(session, ended))
  },

  async restore(part, { isEmpty }) {
    const planned = await plan(part)
    refuseFindings(planned.findings, part.contents)
    if (isEmpty) await requireStillEmpty(planned.target.connection, part.life)
    const { id, signal } = await partsOf(part)
    const common = {
      ...{ id, signal, target: planned.target, expected: part.contents, clients: planned.clients },
      dump: readPlain(part, 'dump'),
    }
    if (planned.method === 'swap') return await restoreBySwap(common, planned)
    const report =
      planned.method === 'tables' ? await restoreTables(common, part.selection) : await restoreInPlace(common)
    return { ...report, method: METHODS[planned.method] }
  },

  async confirm(part) {
    const { id, target, signal } = await partsOf(part)
    const door = await findDoor(target, signal)
    if (door) await dropKept({ id, target, door, signal })
  },

  async undo(part) {
    const { id, target, signal } = await partsOf(part)
    const door = await findDoor(target, signal)
    if (!door)
      throw new CofferError('CONFLICT', `${describeConnection(target)} was restored in place, and nothing was kept`)
    await swapBack({ id, target, door, signal })
  },
}

type Common = Parameters<typeof restoreInPlace>[0]

async function restoreBySwap(common: Common, { target }: RestorePlan): Promise<Record<string, unknown>> {
  const { id, signal, expected, clients, dump } = common
  const { door, connection, tablespace, locale: replaced, isEmpty } = target
  if (!door) throw new Error('a swap was planned without a door')
  const [name, marker] = [scratchName('restore', id), markerOfRestore(id)]
  const trustedExtensions = target.extensions.map((extension) => extension.name)
  let oid: number | undefined
  const onMade = (made: number) => void (oid = made)
  const into = { server: door, name, marker, tablespace, replaced, trustedExtensions, onMade }
  try {
    const report = await restoreIntoScratch({ ...into, clients, dump, expected, signal })
    reached('restore-compared', { restore: id })
    if (isEmpty) await requireStillEmpty(connection, { signal })
    const notCarried = await swapIn({ id, target: connection, door, signal }, { isEmpty, oid })
    return { ...report, left_out: [...report.left_out, ...notCarried], method: METHODS.swap }
  } catch (error) {
    // Whatever stopped it, the signal included, may not stop this; what can't be dropped now, `recover` drops. So it does where no oid
    // was told: what has this name may be the next attempt's.
    if (oid !== undefined && !(await isIn(connection, id)))
      await dropScratch(door, name, marker, { oid }).catch(() => undefined)
    throw error
  }
}

const isIn = (connection: Common['target']['connection'], id: string): Promise<boolean> =>
  withSession(connection, {}, (session) => isCommitted(session, connection.database, id)).catch(() => true)

async function plan(part: DatabasePart): Promise<RestorePlan & { clients: PostgresClient[] }> {
  const { target, signal } = await partsOf(part)
  const [contents, clients] = await Promise.all([readContents(readPlain(part, 'dump')), findPostgresClients()])
  const { selection, contents: expected } = part
  return { ...(await planRestore({ connection: target, clients, contents, expected, selection, signal })), clients }
}

const partsOf = async ({ id, connection, egress, config, life }: DatabasePart) => ({
  ...{ id, target: await vetDatabase(connection.url, egress, config), signal: life.signal },
})
