import type { DumpContents } from '../domain/manifest.ts'
import { CofferError } from '../errors.ts'
import { reached } from '../steps.ts'
import { chooseRestoreClient, majorOf, type PostgresClient } from './clients.ts'
import { isCommitted, isMarker, noteCommitted } from './committed.ts'
import { compareObjects } from './compare-objects.ts'
import { compareRows, refuseDifferences } from './compare.ts'
import { describeConnection, type PostgresConnection } from './connection.ts'
import { dropEverything } from './drop-everything.ts'
import { partArchive, SUPERUSER_KINDS, type Restorable } from './left-out.ts'
import { feedPgRestore } from './pg-restore.ts'
import { refuseFindings, type RestoreReport } from './restore-into-scratch.ts'
import { rewriteArchive, type ArchiveContents, type ArchiveEntry, type ArchivePlan } from './rewrite-archive.ts'
import { rowCheck } from './row-check.ts'
import { scratchName } from './scratch.ts'
import { withSession, type Session } from './session.ts'
import type { Target } from './target.ts'

export interface RestoreInPlace {
  /** Of the restore. */
  id: string
  target: Target
  clients: readonly PostgresClient[]
  dump: AsyncIterable<Buffer>
  expected: DumpContents
  signal?: AbortSignal | undefined
}

/**
 * Restores a whole dump within the database itself, in one transaction: it first drops all that the role can drop, and commits only after
 * the source of the dump has ended well and every table's rows were counted. Before that instant, and after any failure, the database
 * is as it was; its sequences too, since those that are set are new ones.
 *
 * @throws RESTORE_FAILED, RESTORE_MISMATCH, TARGET_INCOMPATIBLE, CLIENT_MISSING, the dump's own error, or the signal's reason
 */
export async function restoreInPlace(restore: RestoreInPlace): Promise<RestoreReport> {
  const { target, expected, clients, signal } = restore
  const { connection } = target
  let archive: ArchiveContents | undefined
  let restorable: Restorable | undefined
  await restoreInOneTransaction(restore, (contents) => {
    archive = contents
    restorable = partArchive(contents, placeOf(target))
    refuseFindings(restorable.findings, expected)
    return { entries: restorable.entries, before: dropEverything(target), afterData: [rowCheck(expected)] }
  })
  if (!archive || !restorable) throw new CofferError('DUMP_INVALID', 'the dump has no table of contents')
  const { counted, differences } = await withSession(connection, { signal }, (session) =>
    compareRows(session, expected),
  )
  const objects = await compareObjects({
    ...{ connection, clients, serverMajor: target.major, archive, signal },
    expected: [...restorable.entries, ...restorable.present],
    ignored: (entry) => isForeign(entry, target) || isMarker(entry.name, restore.id) || SUPERUSER_KINDS.has(entry.kind),
  })
  refuseDifferences([...differences, ...objects.differences], connection, expected)
  return { ...counted, objects: objects.objects, compared: objects.compared, left_out: restorable.leftOut }
}

/** Feeds what `plan` makes of the archive to pg_restore within one transaction, which notes that it was committed. */
export async function restoreInOneTransaction(
  { id, target, clients, dump, expected, signal }: RestoreInPlace,
  plan: (contents: ArchiveContents) => ArchivePlan,
): Promise<void> {
  const { connection } = target
  const archive = rewriteArchive(dump, (contents) => {
    const made = plan(contents)
    return { ...made, after: [...(made.after ?? []), noteCommitted(target, id)] }
  })
  await feedPgRestore(
    {
      connection,
      client: chooseRestoreClient(clients, majorOf(expected.client_version), target.major),
      inOneTransaction: true,
      applicationName: scratchName('restore', id),
      signal,
    },
    announceEnd(archive, connection),
  )
  reached('restore-committed', { restore: id })
}

/** Ends what a killed attempt has left running, and tells whether it had committed. May run twice. */
export async function recoverInPlace(
  id: string,
  connection: PostgresConnection,
  signal: AbortSignal | undefined,
): Promise<'as-before' | 'restored'> {
  return withSession(connection, { signal }, async (session) => {
    await endProgram(session, scratchName('restore', id))
    return (await isCommitted(session, connection.database, id)) ? 'restored' : 'as-before'
  })
}

export function placeOf({ fates, foreignSchemas, ownsPublic, roles }: Target) {
  return { extensions: fates, schemas: new Set(foreignSchemas), ownsPublic, roles: new Set(roles) }
}

/** A program outlives the worker that started it: with all its input, it would commit after everybody has looked. */
async function endProgram(session: Session, applicationName: string): Promise<void> {
  const running = 'SELECT pid FROM pg_catalog.pg_stat_activity WHERE application_name = $1 AND usename = current_user'
  for (;;) {
    const { rows } = await session.query(`SELECT pg_catalog.pg_terminate_backend(pid) FROM (${running}) own`, [
      applicationName,
    ])
    if (rows.length === 0) return
    await session.query('SELECT pg_catalog.pg_sleep(0.05)')
  }
}

/** The last bytes are the gate. */
async function* announceEnd(archive: AsyncIterable<Buffer>, connection: PostgresConnection): AsyncGenerator<Buffer> {
  let last: Buffer | undefined
  for await (const chunk of archive) {
    if (last) yield last
    last = chunk
  }
  reached('before-restore-commit', { target: describeConnection(connection) })
  if (last) yield last
}

/** What stays in a database of several roles. */
function isForeign({ kind, name }: ArchiveEntry, { foreignSchemas, extensions, fates }: Target): boolean {
  const isKept = (extension: string) =>
    extensions.some((one) => one.name === extension) && fates.get(extension) !== 'create'
  if (kind === 'SCHEMA') return foreignSchemas.includes(name)
  if (kind === 'EXTENSION') return isKept(name)
  return (
    kind === 'COMMENT' && name.startsWith('EXTENSION ') && isKept(name.slice('EXTENSION '.length).replaceAll('"', ''))
  )
}
