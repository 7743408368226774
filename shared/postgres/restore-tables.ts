import { escapeLiteral } from 'pg'
import type { DumpContents } from '../domain/manifest.ts'
import type { Selection } from '../domain/selection.ts'
import { copiedColumns, definitionOf, rowsOf, sequenceOf, type SequenceName } from './archive-tables.ts'
import { partArchive } from './left-out.ts'
import { goneWith, inTheWayOf, lackedBy } from './named-objects.ts'
import { placeOf, restoreInOneTransaction, type RestoreInPlace } from './restore-in-place.ts'
import { refuseFindings } from './restore-into-scratch.ts'
import type { ArchiveContents, ArchiveEntry, ArchivePlan } from './rewrite-archive.ts'
import { inAnyEncoding, rowCheck } from './row-check.ts'
import {
  quoteTable,
  readSurroundings,
  selectTables,
  type DumpedTable,
  type LivingTable,
  type Surroundings,
} from './selected-tables.ts'
import { quoteIdentifier, withSession } from './session.ts'
import type { Target } from './target.ts'

export interface RestoredTables {
  tables: number
  rows: number
  /** Tables that the target had not, and that were created as they were. */
  created: string[]
}

export interface TablesPlan {
  plan: ArchivePlan
  chosen: DumpedTable[]
  created: string[]
  findings: string[]
  /** Of tables that are created, and what went with them. */
  leftOut: string[]
}

const SETTINGS = /^(ENCODING|STDSTRINGS|SEARCHPATH)$/

/**
 * Replaces the selected tables' rows by those of the dump, in one transaction that commits only after the source of the dump has ended
 * well and the rows were counted. Tables that the target has keep their definition, constraints and triggers; those that it has not are
 * created. Nothing else of the target changes.
 *
 * @throws as restoreInPlace
 */
export async function restoreTables(restore: RestoreInPlace, selection: Selection): Promise<RestoredTables> {
  const { target, expected, signal } = restore
  const { chosen } = selectTables(selection, expected)
  const surroundings = await withSession(target.connection, { signal }, (session) => readSurroundings(session, chosen))
  let created: string[] = []
  await restoreInOneTransaction(restore, (contents) => {
    const made = planTables({ contents, target, expected, selection, surroundings })
    refuseFindings(made.findings, expected)
    created = made.created
    return made.plan
  })
  return { tables: chosen.length, rows: chosen.reduce((sum, { rows }) => sum + rows, 0), created }
}

/** What is done to the target, and what stands against it. */
export function planTables(options: {
  contents: ArchiveContents
  target: Target
  expected: DumpContents
  selection: Selection
  surroundings: Surroundings
}): TablesPlan {
  const { contents, target, expected, selection, surroundings } = options
  const { living } = surroundings
  const { chosen, findings } = selectTables(selection, expected)
  const missing = chosen.filter((table) => !living.some((one) => quoteTable(one) === quoteTable(table)))
  const places = placesOf(missing, surroundings)
  const made = missing.flatMap((table) => definitionOf(contents, table))
  const filled = living.map((table) => fill(contents, table))
  const taken = new Set([...made, ...filled.flatMap(({ entries }) => entries)])
  const part = (entries: ArchiveEntry[]) => partArchive({ ...contents, entries }, placeOf(target), contents.entries)
  // With how the archive's texts are to be read.
  const kept = part(contents.entries.filter((entry) => taken.has(entry) || SETTINGS.test(entry.kind)))
  findings.push(
    ...filled.flatMap((one) => one.findings),
    ...checkRights(target, missing, places),
    ...living.flatMap((table) => [...checkLiving(table, chosen), ...(target.isSuperuser ? [] : checkTriggers(table))]),
    ...lackedBy(made, contents, surroundings.names),
    ...inTheWayOf(made, surroundings.names),
    ...kept.findings,
  )
  const restarts = filled.flatMap((one) => one.restarts)
  return {
    chosen,
    created: missing.map(quoteTable),
    findings,
    leftOut: [...part(made).leftOut, ...goneWith(made, contents, surroundings.names)],
    plan: {
      entries: kept.entries,
      before: [...makeSchemas(places.absent), ...makeRoom(living, chosen), ...restarts].map(inAnyEncoding),
      afterData: [rowCheck({ tables: chosen, large_objects: null })],
      after: putBack(living, chosen).map(inAnyEncoding),
    },
  }
}

function fill(contents: ArchiveContents, table: LivingTable) {
  const { rows, positions } = rowsOf(contents, table)
  const sequences = positions.map(sequenceOf)
  return {
    entries: [...rows, ...positions],
    findings: checkRows(table, rows, sequences),
    // A sequence that restarts gets new storage, so that what setval writes afterwards goes with a rollback.
    restarts: sequences.flatMap((name) => (name ? [`ALTER SEQUENCE ${quoteTable(name)} RESTART`] : [])),
  }
}

function checkRows(
  table: LivingTable,
  rows: readonly ArchiveEntry[],
  sequences: readonly (SequenceName | null)[],
): string[] {
  const copied = rows.length === 1 ? copiedColumns(rows[0]) : null
  if (copied === null || sequences.includes(null))
    return [`the dump's statements for ${quoteTable(table)} are not those of pg_dump`]
  const absent = copied.filter((name) => !table.columns.includes(name))
  const isOwn = ({ schema, name }: SequenceName) => schema === table.schema && table.sequences.includes(name)
  return [
    ...(absent.length === 0 ? [] : [`${quoteTable(table)} has no column ${absent.join(', ')} any more`]),
    ...sequences
      .filter((sequence) => sequence !== null)
      .filter((sequence) => !isOwn(sequence))
      .map((sequence) => `${quoteTable(table)} has no sequence ${quoteTable(sequence)} of its own any more`),
  ]
}

function checkLiving(table: LivingTable, chosen: readonly DumpedTable[]): string[] {
  const name = quoteTable(table)
  const isChosen = (other: { schema: string; table: string }) =>
    chosen.some((one) => one.schema === other.schema && one.name === other.table)
  return [
    ...(table.kind === 'r' ? [] : [`${name} is not a table in the target`]),
    ...(table.isOwned ? [] : [`${name} belongs to another role`]),
    ...(table.isGuarded ? [`${name} forces its row-level security on its owner`] : []),
    ...table.referencedBy
      .filter((other) => !isChosen(other))
      .map((other) => `${quoteTable({ ...other, name: other.table })} has a foreign key into ${name}: select it too`),
    ...table.foreignKeys
      .filter((key) => key.isInherited && isChosen(key))
      .map(
        (key) => `the foreign key ${key.name} of ${name} comes from its partitioned table: restore everything instead`,
      ),
  ]
}

const checkTriggers = (table: LivingTable): string[] =>
  table.triggers
    .filter(({ isInternal }) => isInternal)
    .map(
      ({ name }) =>
        `the trigger ${name} of ${quoteTable(table)} comes from its partitioned table, and before PostgreSQL 15 only a superuser can disable it there`,
    )

/** The schemas that missing tables are to lie in, as far as something must be done about them. */
function placesOf(missing: readonly DumpedTable[], { schemas }: Surroundings) {
  const needed = [...new Set(missing.map(({ schema }) => schema))]
  return {
    absent: needed.filter((name) => !schemas.some((schema) => schema.name === name)),
    closed: needed.filter((name) => schemas.some((schema) => schema.name === name && !schema.mayCreate)),
  }
}

function checkRights(
  { isSuperuser, ownsDatabase, mayCreateSchemas, connection }: Target,
  missing: readonly DumpedTable[],
  { absent, closed }: ReturnType<typeof placesOf>,
): string[] {
  // Who does not own the database notes with a schema that the restore has come through.
  const makesSchemas = !ownsDatabase || absent.length > 0
  return [
    ...(missing.length > 0 && isSuperuser
      ? [
          `the target lacks ${missing.map(quoteTable).join(', ')}, and a superuser can't safely create what a dump defines: use the role that owns the database`,
        ]
      : []),
    ...(makesSchemas && !mayCreateSchemas ? [`the role ${connection.user} may not create schemas in it`] : []),
    ...closed.map((schema) => `the role ${connection.user} may not create tables in the schema ${schema}`),
  ]
}

const makeSchemas = (absent: readonly string[]) => absent.map((schema) => `CREATE SCHEMA ${quoteIdentifier(schema)}`)

/** Foreign keys among the selected tables go and come back, since rows arrive in any order; triggers sleep meanwhile. */
function makeRoom(living: readonly LivingTable[], chosen: readonly DumpedTable[]): string[] {
  if (living.length === 0) return []
  return [
    ...living.flatMap((table) =>
      innerKeys(table, chosen).map(({ name }) => alter(table, `DROP CONSTRAINT ${quoteIdentifier(name)}`)),
    ),
    ...living.flatMap((table) =>
      table.triggers.map(({ name }) => alter(table, `DISABLE TRIGGER ${quoteIdentifier(name)}`)),
    ),
    `TRUNCATE ${living.map((table) => `ONLY ${quoteTable(table)}`).join(', ')}`,
  ]
}

function putBack(living: readonly LivingTable[], chosen: readonly DumpedTable[]): string[] {
  const enable = { O: 'ENABLE', A: 'ENABLE ALWAYS', R: 'ENABLE REPLICA' }
  const altered = living.flatMap((table) => [
    ...innerKeys(table, chosen).flatMap(({ name, definition, comment }) => [
      alter(table, `ADD CONSTRAINT ${quoteIdentifier(name)} ${definition}`),
      ...(comment === null ? [] : [describe(table, name, comment)]),
    ]),
    ...table.triggers.map(({ name, mode }) => alter(table, `${enable[mode]} TRIGGER ${quoteIdentifier(name)}`)),
  ])
  // A table that has rows to check at the end of the transaction can't be altered.
  return ['SET CONSTRAINTS ALL IMMEDIATE', ...altered]
}

const alter = (table: LivingTable, action: string) => `ALTER TABLE ONLY ${quoteTable(table)} ${action}`

const describe = (table: LivingTable, constraint: string, comment: string) =>
  `COMMENT ON CONSTRAINT ${quoteIdentifier(constraint)} ON ${quoteTable(table)} IS ${escapeLiteral(comment)}`

const innerKeys = ({ foreignKeys }: LivingTable, chosen: readonly DumpedTable[]) =>
  foreignKeys.filter((key) => chosen.some(({ schema, name }) => schema === key.schema && name === key.table))
