import { canonicalSql } from './canonical-sql.ts'
import { chooseClient, majorOf, type PostgresClient } from './clients.ts'
import type { PostgresConnection } from './connection.ts'
import { readFromChild } from '../pipeline/child.ts'
import { CofferError } from '../errors.ts'
import { openClientEnvironment } from './environment.ts'
import { programFailure } from './failures.ts'
import { titleOf } from './left-out.ts'
import { readContents, type ArchiveContents, type ArchiveEntry } from './rewrite-archive.ts'
import { withSession } from './session.ts'

export interface ComparedObjects {
  objects: number
  /**
   * `definitions`: their SQL is the same, but for what PostgreSQL writes differently once it has read it again; `names`: all are there, and
   * no others; `relations`: tables, views, sequences and indexes are there.
   */
  compared: 'definitions' | 'names' | 'relations'
  differences: string[]
}

/** What holds no object of the schema, belongs to no dump of the schema alone, or is left out of every restore. */
const NOT_COMPARED =
  /^(ENCODING|STDSTRINGS|SEARCHPATH|DATABASE.*|TABLE DATA|SEQUENCE SET|MATERIALIZED VIEW DATA|BLOBS?|BLOB METADATA|STATISTICS DATA|ACL|DEFAULT ACL|SECURITY LABEL)$/

const RELATIONS = /^(TABLE|VIEW|MATERIALIZED VIEW|SEQUENCE|INDEX|FOREIGN TABLE)$/

/**
 * Compares the objects of a database with entries of the archive that it was restored from, by what pg_dump tells of them now. Their
 * definitions only where client and server have the same major versions as when the archive was made: others write them differently.
 */
export async function compareObjects(options: {
  connection: PostgresConnection
  clients: readonly PostgresClient[]
  serverMajor: number
  archive: ArchiveContents
  /** Those of its entries that must be there now. */
  expected: readonly ArchiveEntry[]
  /** What may be there, or not. */
  ignored?: (entry: ArchiveEntry) => boolean
  signal?: AbortSignal | undefined
}): Promise<ComparedObjects> {
  const { connection, clients, serverMajor, archive, ignored = () => false, signal } = options
  const isMeant = (entry: ArchiveEntry) => isCompared(entry) && !ignored(entry)
  const expected = options.expected.filter(isMeant)
  if (!clients.some(({ major }) => major >= serverMajor)) {
    return {
      objects: expected.length,
      compared: 'relations',
      differences: await missingRelations(connection, expected, signal),
    }
  }
  const client = chooseClient(clients, serverMajor)
  const there = (await readContents(dumpSchema(connection, client, signal))).entries.filter(isMeant)
  const { header } = archive
  const isSame = majorOf(header.clientVersion) === client.major && majorOf(header.serverVersion) === serverMajor
  return {
    objects: expected.length,
    compared: isSame ? 'definitions' : 'names',
    differences: differencesOf(expected, there, isSame),
  }
}

function isCompared({ kind, name, schema }: ArchiveEntry): boolean {
  if (NOT_COMPARED.test(kind)) return false
  if (kind === 'SCHEMA' && name === 'public') return false
  return !(kind === 'COMMENT' && !schema && /^(DATABASE|LARGE OBJECT) /.test(name))
}

function differencesOf(expected: readonly ArchiveEntry[], there: readonly ArchiveEntry[], exactly: boolean): string[] {
  const left = new Map<string, ArchiveEntry[]>()
  for (const entry of there) left.set(titleOf(entry), [...(left.get(titleOf(entry)) ?? []), entry])
  const differences: string[] = []
  for (const entry of expected) {
    const title = titleOf(entry)
    const found = left.get(title) ?? []
    const equal = indexOfSame(found, entry.definition)
    if (found.length === 0) differences.push(`${title} is missing`)
    else if (exactly && equal < 0) differences.push(`${title} is defined differently`)
    found.splice(Math.max(equal, 0), 1)
  }
  for (const [title, entries] of left) if (entries.length > 0) differences.push(`${title} is there and not in the dump`)
  return differences
}

/** -1: none is defined so. */
function indexOfSame(entries: readonly ArchiveEntry[], definition: string): number {
  const same = entries.findIndex((entry) => entry.definition === definition)
  if (same >= 0) return same
  const canonical = canonicalSql(definition)
  return entries.findIndex((entry) => canonicalSql(entry.definition) === canonical)
}

async function* dumpSchema(
  connection: PostgresConnection,
  client: PostgresClient,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  await using environment = await openClientEnvironment(connection)
  yield* readFromChild({
    program: client.pgDump,
    args: ['--no-password', '--format=custom', '--compress=0', '--schema-only'],
    env: environment.variables,
    ...(signal && { signal }),
    onFailure: (exit): CofferError => programFailure('pg_dump', exit, connection, 'RESTORE_FAILED'),
  })
}

/** All that can be asked where no pg_dump on this machine is new enough for the server. */
async function missingRelations(
  connection: PostgresConnection,
  expected: readonly ArchiveEntry[],
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const relations = expected.filter(({ kind }) => RELATIONS.test(kind))
  const { rows } = await withSession(connection, { signal }, (session) =>
    session.query<{ key: string }>(
      `SELECT pg_catalog.json_build_array(n.nspname, c.relname)::text AS key
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace`,
    ),
  )
  const there = new Set(rows.map(({ key }) => JSON.stringify(JSON.parse(key))))
  return relations
    .filter(({ schema, name }) => !there.has(JSON.stringify([schema, name])))
    .map((entry) => `${titleOf(entry)} is missing`)
}
