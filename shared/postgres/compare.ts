import type { DumpContents } from '../domain/manifest.ts'
import { CofferError } from '../errors.ts'
import { describeConnection, type PostgresConnection } from './connection.ts'
import { quoteIdentifier, type Session } from './session.ts'

export interface ComparedRows {
  tables: number
  rows: number
  large_objects: number
}

const LISTED_DIFFERENCES = 10

/** Counts every row and large object. @returns what was counted, and each difference from what was recorded when the dump was made. */
export async function compareRows(
  session: Session,
  expected: Pick<DumpContents, 'tables' | 'large_objects'>,
): Promise<{ counted: ComparedRows; differences: string[] }> {
  const differences: string[] = []
  let restoredRows = 0
  const guarded = await guardedTables(session)
  for (const { schema, name, rows } of expected.tables) {
    const table = `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`
    const restored = guarded.has(table) ? await countGuarded(session, table) : await count(session, `ONLY ${table}`)
    if (restored !== rows) differences.push(`${table} has ${restored} rows, not ${rows}`)
    restoredRows += restored
  }
  const largeObjects = await count(session, 'pg_catalog.pg_largeobject_metadata')
  if (largeObjects !== expected.large_objects) {
    differences.push(`it has ${largeObjects} large objects, not ${expected.large_objects}`)
  }
  return {
    counted: { tables: expected.tables.length, rows: restoredRows, large_objects: largeObjects },
    differences,
  }
}

/** @throws RESTORE_MISMATCH with all differences, unless there are none */
export function refuseDifferences(
  differences: readonly string[],
  connection: PostgresConnection,
  expected: DumpContents,
): void {
  if (differences.length === 0) return
  const listed = differences.slice(0, LISTED_DIFFERENCES)
  const more = differences.length > listed.length ? `; and ${differences.length - listed.length} more` : ''
  throw new CofferError(
    'RESTORE_MISMATCH',
    `${describeConnection(connection)} differs from the dump of ${expected.database}: ${listed.join('; ')}${more}`,
    { details: { differences } },
  )
}

/** Tables whose row-level security also binds their owner, who would count too few. */
async function guardedTables(session: Session): Promise<Set<string>> {
  const { rows } = await session.query<{ schema: string; name: string }>(
    `SELECT n.nspname AS schema, c.relname AS name FROM pg_catalog.pg_class c
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relforcerowsecurity AND c.relrowsecurity`,
  )
  return new Set(rows.map(({ schema, name }) => `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`))
}

async function countGuarded(session: Session, table: string): Promise<number> {
  await session.query('BEGIN')
  try {
    await session.query(`ALTER TABLE ONLY ${table} NO FORCE ROW LEVEL SECURITY`)
    return await count(session, `ONLY ${table}`)
  } finally {
    await session.query('ROLLBACK')
  }
}

async function count(session: Session, from: string): Promise<number> {
  const { rows } = await session.query<{ count: string }>(`SELECT pg_catalog.count(*) FROM ${from}`)
  return Number(rows[0]?.count)
}
