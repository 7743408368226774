import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Selection } from '../../shared/domain/selection.ts'
import { databaseRestorer } from '../../workers/restore/restore-database.ts'
import { createOwnedDatabase, storeDump, type OwnedDatabase, type StoredDump } from '../support/database-parts.ts'
import { dumpWhole } from '../support/dumps.ts'
import { query, urlOfDatabase } from '../support/postgres.ts'

let target: OwnedDatabase

beforeEach(async () => {
  target = await createOwnedDatabase()
})
afterEach(() => target.drop())

/** The dump of the target as these statements make it. */
async function dumpOf(...statements: string[]): Promise<StoredDump> {
  await query(target.url, ...statements)
  return storeDump(await dumpWhole(target.url))
}

async function restore(dump: StoredDump, selection: Partial<Selection>) {
  const part = dump.into(target.url, { selection })
  const preflight = await databaseRestorer.preflight(part)
  expect(preflight.findings).toEqual([])
  return { ...preflight, report: await databaseRestorer.restore(part, preflight) }
}

test('rows come back where the dump has an extension of another role', async () => {
  await query(urlOfDatabase(target.name), 'CREATE EXTENSION pgcrypto')
  const dump = await dumpOf('CREATE TABLE a AS SELECT 1 AS id')
  await query(target.url, 'UPDATE a SET id = 2')
  await restore(dump, { tables: ['public.a'] })
  expect(await query(target.url, 'SELECT id FROM a')).toEqual([{ id: 1 }])
})
