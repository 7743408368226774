import type { DumpContents } from '../domain/manifest.ts'
import { CofferError } from '../errors.ts'
import { reached } from '../steps.ts'
import { chooseRestoreClient, majorOf, type PostgresClient } from './clients.ts'
import { compareObjects, type ComparedObjects } from './compare-objects.ts'
import { compareRows, refuseDifferences, type ComparedRows } from './compare.ts'
import type { PostgresConnection } from './connection.ts'
import { createForbidden, extensionFates } from './extensions.ts'
import { lostLocale, type DatabaseLocale } from './locale.ts'
import { feedPgRestore } from './pg-restore.ts'
import { partArchive, type Place, type Restorable } from './left-out.ts'
import { rewriteArchive, type ArchiveContents } from './rewrite-archive.ts'
import { createScratch, isSuperuser } from './scratch.ts'
import { inspectServer } from './server.ts'
import { withSession } from './session.ts'

const ROLES = 'SELECT rolname FROM pg_catalog.pg_roles'

export interface RestoreReport extends ComparedRows {
  objects: number
  compared: ComparedObjects['compared']
  left_out: string[]
}

/** From this version on, the schema public belongs to the owner of its database. */
export const FIRST_MAJOR_OWNING_PUBLIC = 15

/**
 * Restores a whole dump into a scratch database that it creates, and compares every table's rows, the large objects and the schema's
 * objects with what the dump says. Not in one transaction, whose locks thousands of tables or large objects would exceed: where it
 * fails, what is half written is the scratch database, which the caller drops in any case (`dropScratch`). Owners and grants are left
 * out, since the roles of the source need not exist here.
 *
 * @param options.server a database on the server to connect to (not the scratch itself), whose role may create databases
 * @param options.name from `scratchName`
 * @param options.marker says whose it is: `listScratches` gives it back
 * @param options.replaced the locale of the database to be replaced
 * @param options.trustedExtensions what a superuser creates for the dump besides the harmless ones, since the database to be replaced has it
 * @throws TARGET_INCOMPATIBLE, CLIENT_MISSING before anything is written; RESTORE_FAILED, RESTORE_MISMATCH, the dump's own error, what
 * createScratch throws, or the signal's reason
 */
export async function restoreIntoScratch(options: {
  server: PostgresConnection
  name: string
  marker: string
  clients: readonly PostgresClient[]
  dump: AsyncIterable<Buffer>
  expected: DumpContents
  tablespace?: string
  replaced?: DatabaseLocale
  trustedExtensions?: readonly string[]
  /** Is told the oid of the scratch database. */
  onMade?: (oid: number) => void
  signal?: AbortSignal | undefined
}): Promise<RestoreReport> {
  const { server, name, marker, clients, dump, expected, tablespace, replaced, signal } = options
  const { major } = await inspectServer(server, { signal })
  const client = chooseRestoreClient(clients, majorOf(expected.client_version), major)
  const scratch = await createScratch(server, { name, marker, like: expected, replaced, tablespace, signal })
  options.onMade?.(scratch.oid)
  reached('restore-scratch-made', { database: name })
  const trusted = options.trustedExtensions ?? []
  const place = await preparePlace({ ...server, database: name }, scratch, expected, major, trusted, signal)
  let archive: ArchiveContents | undefined
  let restorable: Restorable | undefined
  const rewritten = rewriteArchive(dump, (contents) => {
    archive = contents
    restorable = partArchive(contents, place)
    refuseFindings(restorable.findings, expected)
    return restorable
  })
  await feedPgRestore({ connection: scratch, client, signal }, rewritten)
  if (!archive || !restorable) throw new CofferError('DUMP_INVALID', 'the dump has no table of contents')
  const found = [...restorable.entries, ...restorable.present]
  const [{ counted, differences }, objects] = await Promise.all([
    withSession(scratch, { signal }, (session) => compareRows(session, expected)),
    compareObjects({ connection: scratch, clients, serverMajor: major, archive, expected: found, signal }),
  ])
  refuseDifferences([...differences, ...objects.differences], scratch, expected)
  const leftOut = [...restorable.leftOut, ...lostLocale(expected, scratch.locale)]
  return { ...counted, objects: objects.objects, compared: objects.compared, left_out: leftOut }
}

/** @throws TARGET_INCOMPATIBLE with all findings, unless there are none */
export function refuseFindings(findings: readonly string[], expected: DumpContents): void {
  if (findings.length === 0) return
  throw new CofferError(
    'TARGET_INCOMPATIBLE',
    `the dump of ${expected.database} cannot be restored here: ${findings.join('; ')}`,
    { details: { findings } },
  )
}

/** What the scratch database offers, after a superuser has created what it may of the extensions that only a superuser can create. */
async function preparePlace(
  server: PostgresConnection,
  scratch: PostgresConnection,
  expected: DumpContents,
  major: number,
  trusted: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Place> {
  const { extensions, roles } = await withSession(scratch, { signal }, async (session) => ({
    extensions: await extensionFates(session, expected),
    roles: new Set((await session.query<{ rolname: string }>(ROLES)).rows.map(({ rolname }) => rolname)),
  }))
  const schemas = await withSession(server, { signal }, async (session) =>
    (await isSuperuser(session))
      ? createForbidden(session, expected, extensions, { trusted, owner: scratch.user })
      : new Set<string>(),
  )
  return { extensions, schemas, roles, ownsPublic: major >= FIRST_MAJOR_OWNING_PUBLIC }
}
