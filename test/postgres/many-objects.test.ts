import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { databaseRestorer } from '../../workers/restore/restore-database.ts'
import { createOwnedDatabase, storeDump } from '../support/database-parts.ts'
import { createTestDatabase } from '../support/databases.ts'
import { dumpWhole } from '../support/dumps.ts'
import { query } from '../support/postgres.ts'

const MANY_TABLES = `DO $$ BEGIN
  FOR n IN 1..6000 LOOP EXECUTE format('CREATE TABLE t%s (id int)', n); IF n % 500 = 0 THEN COMMIT; END IF; END LOOP; END $$`
const MANY_LARGE_OBJECTS = `DO $$ BEGIN
  FOR n IN 1..30000 LOOP PERFORM lo_create(n + 100000); IF n % 1000 = 0 THEN COMMIT; END IF; END LOOP; END $$`

test.each([
  ['6,000 tables', MANY_TABLES, { tables: 6000, large_objects: 0 }],
  ['30,000 large objects', MANY_LARGE_OBJECTS, { tables: 0, large_objects: 30000 }],
])(
  '%s go into a scratch database, whatever one transaction can lock',
  { timeout: 240_000 },
  async (_title, sql, expected) => {
    const source = await createTestDatabase()
    const maker = await createOwnedDatabase('CREATEDB')
    try {
      await query(source.url, sql)
      const dump = await storeDump(await dumpWhole(source.url))
      const part = dump.into(maker.url, { id: randomUUID() })
      expect(await databaseRestorer.restore(part, await databaseRestorer.preflight(part))).toMatchObject(expected)
      await databaseRestorer.confirm(part)
    } finally {
      await Promise.all([source, maker].map((database) => database.drop()))
    }
  },
)
